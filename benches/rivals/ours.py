"""fastcascade as a contender: when it is not built yet, the rivals are measured all the same."""

from types import ModuleType

from harness import Missing


def fastcascade() -> ModuleType:
    """The package with its compiled core, or `Missing` with what to do."""
    try:
        import fastcascade
    except ImportError as error:
        raise Missing(
            f"fastcascade is not importable here ({error}): build it with `maturin develop --release`"
        ) from None
    if not hasattr(fastcascade, "Router"):
        raise Missing("fastcascade is importable but its compiled core is not built: `maturin develop --release`")
    if getattr(fastcascade._core, "DEBUG_BUILD", False):
        raise Missing("fastcascade is a debug build: figures would mean nothing; `maturin develop --release`")
    return fastcascade


def version() -> str:
    """Which build is measured."""
    return str(fastcascade().__version__)
