"""A cascade described in one TOML file: `fastcascade.config.load("cascade.toml")`.

    [budget]
    deadline = 20
    usd = 0.05

    [[tiers]]
    name = "small"
    backend = { kind = "anthropic", model = "claude-haiku-4-5", api_key = "env:ANTHROPIC_API_KEY", classic = true }
    gate = { kind = "consistency", k = 3 }
    accept = 0.85
    price = { input = 1.0, output = 5.0 }

    [[tiers]]
    name = "large"
    pool = { balance = "power of two", retry = { times = 3 }, hedge = { percentile = 95 } }
      [[tiers.instances]]
      region = "eu"
      backend = { kind = "openai", model = "gpt-5", api_key = "file:/run/secrets/eu" }
      [[tiers.instances]]
      region = "us"
      priority = 1
      backend = { kind = "openai", model = "gpt-5", api_key = "file:/run/secrets/us" }

    [lanes]
    admitted = "admitted.json"

    [[fallbacks]]
    kind = "review"
    store = "sqlite:reviews.db"

Whatever a constructor takes can be said under the constructor's own names; a table says the settings of a part, and
`kind` which part it is where there are several. What an argument list takes is a list: `tiers`, `instances`, `gates`,
`script`. Some things have words of their own:

    false                    None: no bound, or a part that is turned off; `true` is a part as it is by default
    "env:NAME"               a variable of the environment, in place of any text
    "file:path"              what a file holds, in place of a secret
    "literal:text"           the text itself, even where it is a secret: for tests
    "module:attribute"       a function, or a thing of your own; `kind = "module:Class"` with its settings beside it
    { function = "m:f" }     the same where a text could be meant

Paths begin at the folder of the file, and modules may lie there too. A file is read whole before anything is said of
it: the one `ConfigError` has a line for each mistake, with its line in the file, its path and what may have been meant.
"""

import sys
from os import PathLike
from pathlib import Path

from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD
from fastcascade.config.document import parsed
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.reader import Reader
from fastcascade.config.references import References

__all__ = ["load", "loads"]


def load(path: str | PathLike[str]) -> Cascade:
    """Read a file. Raises `ConfigError` with all that is wrong with it."""
    mistakes = Mistakes(str(path))
    text = ""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        mistakes.add(None, "", f"not UTF-8 at byte {error.start}; save it as UTF-8")
    except OSError as error:
        mistakes.add(None, "", f"cannot be read: {error.strerror or type(error).__name__}")
    if mistakes:
        raise mistakes.error()
    return _read(text, mistakes, Path(path).resolve().parent)


def loads(text: str, *, where: str = "") -> Cascade:
    """Read a text, which errors call `where`. Paths begin at the working folder."""
    return _read(text, Mistakes(where), None)


def _read(text: str, mistakes: Mistakes, folder: Path | None) -> Cascade:
    reader = Reader(References(folder, mistakes), mistakes)
    root = parsed(text, mistakes)
    beside = [] if folder is None else [str(folder)]
    sys.path.extend(beside)  # at the end: what is there shadows nothing
    try:
        cascade = reader.build(Cascade, root)
    finally:
        for each in beside:
            sys.path.reverse()  # the last of its kind is ours
            sys.path.remove(each)
            sys.path.reverse()
    if mistakes:
        raise mistakes.error()
    if cascade is BAD or not isinstance(cascade, Cascade):
        raise AssertionError("a file without mistakes must make a cascade")
    return cascade
