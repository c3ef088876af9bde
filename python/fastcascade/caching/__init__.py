"""What was answered is answered again.

HTTP's own caching (RFC 9111) without I/O, for the drop-in parts and the gateway's routes; the answers of cascades,
exact (`AnswerCache`) or by what they mean (`SemanticCache`); and levels: memory, then what all share.
"""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache
    from fastcascade.caching.http import HttpCache
    from fastcascade.caching.http_records import Found, Served, Stored, Token
    from fastcascade.caching.levels import Levels
    from fastcascade.caching.semantic import SemanticCache
    from fastcascade.caching.semantic_guard import Guard

__all__ = ["AnswerCache", "Found", "Guard", "HttpCache", "Levels", "SemanticCache", "Served", "Stored", "Token"]

__getattr__ = loader(
    __name__,
    {
        "answers": "AnswerCache",
        "http": "HttpCache",
        "http_records": "Found Served Stored Token",
        "levels": "Levels",
        "semantic": "SemanticCache",
        "semantic_guard": "Guard",
    },
)
