"""Names that clients may have made up, as a terminal may see them."""

import unicodedata

__all__ = ["cut"]


def cut(text: str, width: int) -> str:
    """As much of a text as fits, without what a terminal would take for a command or turn around."""
    made, used = [], 0
    for char in text:
        shown = char if char.isprintable() and not unicodedata.combining(char) else "?"
        used += 2 if unicodedata.east_asian_width(shown) in "WF" else 1
        if used > width:
            break
        made.append(shown)
    return "".join(made)
