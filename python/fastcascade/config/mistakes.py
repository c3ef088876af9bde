"""All that is wrong with a file, to be told at once; and the names one may have meant."""

from collections.abc import Iterable, Sequence

from fastcascade.errors import ConfigError

__all__ = ["Mistakes", "listed", "meant"]


class Mistakes:
    """What was found so far. What was put in from outside (secrets above all) is never repeated.

    Args:
        where: what the text is called.
    """

    def __init__(self, where: str) -> None:
        """Begin with none."""
        self.where = where
        self._found: list[tuple[int, int, str]] = []
        self._hidden: dict[str, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def hide(self, value: str, reference: str) -> None:
        """Say the reference from now on where the value would be said."""
        for form in (value, repr(value)[1:-1]):
            if len(form) > 2:  # less is no secret, and would be found in any word
                self._hidden[form] = reference

    def add(self, line: int | None, path: str, problem: str, *, column: int | None = None) -> None:
        """Take note of one."""
        for value in sorted(self._hidden, key=len, reverse=True):
            problem = problem.replace(value, self._hidden[value])
        places = [f"line {line}"] if line is not None else []
        places += [f"column {column}"] if column is not None else []
        parts = [", ".join([self.where] * bool(self.where) + places), path, " ".join(problem.split("\n"))]
        said = ": ".join(part for part in parts if part)
        if all(said != other for _, _, other in self._found):
            self._found.append((line or 0, len(self._found), said))

    def error(self) -> ConfigError:
        """All of them, by line."""
        return ConfigError("\n".join(said for _, _, said in sorted(self._found)))


def meant(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The one of these names that is nearest to this; empty where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - few files have mistakes

    known = {each.casefold(): each for each in names}
    found = get_close_matches(name.casefold(), known, n=1, cutoff=cutoff)
    return known[found[0]] if found else ""


def listed(names: Sequence[str]) -> str:
    """Names in quotes, with commas."""
    return ", ".join(repr(each) for each in names)
