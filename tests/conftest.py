"""What all tests share: the public data, the cache's policies, and how hypothesis runs."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fastcascade
from fastcascade.notices import Notice, subscribe

# The machines that run this are shared and slow at times; no test is about time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("suite")

# A shell's background jobs are started with Ctrl-C ignored, which what they start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def policies() -> list[str]:
    """Every eviction policy by name, as the cache's own error lists them."""
    with pytest.raises(fastcascade.ConfigError) as caught:
        fastcascade.Cache[object](max_items=1, policy="?")  # type: ignore[arg-type]
    return re.findall(r'"([\w-]+)"', str(caught.value).split(", not")[0])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a policy once for each."""
    if "policy" in metafunc.fixturenames:
        metafunc.parametrize("policy", policies())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The public data beside the repository."""
    data = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the public data is not there: put it into ../shared/data, beside the repository")
    return data


@pytest.fixture(scope="session")
def told() -> Callable[[BaseException], str]:
    """All that an exception tells whoever reads it: its message and its notes."""
    return lambda error: "\n".join([str(error), *getattr(error, "__notes__", [])])


@pytest.fixture
def heard() -> Iterator[list[Notice]]:
    """All notices that are given during a test."""
    notices: list[Notice] = []
    end = subscribe(notices.append)
    yield notices
    end()
