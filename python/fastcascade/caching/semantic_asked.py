"""Which requests may be answered by meaning, and all but the wording that their answers may depend on."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

from fastcascade.blocks import Text
from fastcascade.errors import ConfigError
from fastcascade.messages import Request

__all__ = ["Per", "check", "scope_of", "text_of"]

Per: TypeAlias = Literal["user", "customer", "all"]
_LONGEST: Final = 400


def check(threshold: Any, guard: Any, items: Any, ttl: Any, per: Any, longest: Any) -> None:
    """Refuse settings that a semantic cache cannot have; `ConfigError` says which."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        msg = f"the threshold of a semantic cache is a cosine above 0 and up to 1, not {threshold!r}"
        raise ConfigError(msg)
    for name, value in (("items", items), ("longest", longest)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"{name} of a semantic cache is a whole number from 1 on, not {value!r}"
            raise ConfigError(msg)
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0:
        msg = f"the ttl of a semantic cache is in seconds and above 0, not {ttl!r}"
        raise ConfigError(msg)
    if per not in ("user", "customer", "all"):
        msg = f"a semantic cache is kept per user, customer or all, not {per!r}"
        raise ConfigError(msg)
    if guard is not None and not callable(getattr(guard, "same", None)):
        msg = f"a guard has a method same(a, b), which {type(guard).__name__} has not; None is no guard"
        raise ConfigError(msg)


def text_of(request: Request, per: Per, identity: bytes = b"", longest: int = _LONGEST) -> str | None:
    """The wording, where it is one short text of one user's and nothing asks for an answer of its own.

    None where there are tools or pictures, several turns or blocks, a temperature above 0, a least tier, a callback,
    probabilities of tokens, or where the request says that it is a new try. And None where answers are kept by user
    or customer and the request does not say whose it is: who is unknown shares with nobody.
    """
    if len(request.messages) != 1 or request.tools or request.temperature or request.logprobs is not None:
        return None
    if request.regenerate or request.callback or request.min_tier or request.idempotency:
        return None
    if per != "all" and not identity and not (request.user if per == "user" else request.customer):
        return None
    message = request.messages[0]
    if message.role != "user" or len(message.content) != 1:
        return None
    block = message.content[0]
    if type(block) is not Text or block.extra:
        return None
    text = block.text
    return text if len(text) <= longest and text.strip() else None


def scope_of(request: Request, per: Per, identity: bytes = b"") -> bytes:
    """A digest of the system prompt, what is asked of the model, the route, and whose it is."""
    whose = {"user": (request.customer, request.user), "customer": (request.customer,), "all": ()}[per]
    said = (
        [(block.text, _plain(block.extra)) for block in request.system],
        request.tool_choice,
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.stop,
        request.seed,
        request.thinking,
        _plain(request.schema),
        _plain(request.options),
        request.route,
        request.task,
        request.feature,
        request.max_tier,
        per,
        whose,
        identity if per != "all" else b"",
    )
    return blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _plain(given: Mapping[str, Any] | None) -> str:
    return "" if not given else json.dumps(given, sort_keys=True, default=_shown)


def _shown(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)
