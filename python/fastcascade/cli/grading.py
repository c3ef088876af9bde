"""What commands that grade have in common: graders beside the cases, and what the library says in a command's words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["grading"]

OPTIONS: Final = {
    "pass trust=True": "give --trust",
    "give one as judge": "name its tier with --judge",
}
"""What a library's caller is told to do, and how it is done here."""


@contextmanager
def grading(cases: str, *, trust: bool) -> Iterator[None]:
    """Within this, a trusted case's `module:function` is looked for beside the file of cases too, after all else."""
    beside = [str(Path(cases).resolve().parent)] if trust else []
    sys.path.extend(beside)
    try:
        yield
    except ConfigError as error:
        told = said = str(error)
        for call, option in OPTIONS.items():
            told = told.replace(call, option)
        if told == said:
            raise
        raise ConfigError(told) from None
    finally:
        for each in beside:
            sys.path.reverse()  # the last of its kind is ours
            sys.path.remove(each)
            sys.path.reverse()
