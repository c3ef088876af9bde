"""The official SDK's client: what it takes to make one."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fastcascade.backends.failures import scrub
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["NO_KEY", "checked_client", "checked_url", "key_for", "sdk", "tls"]

NO_KEY: Final = "none"
"""Sent where there is no key: the SDK sends no request without one."""


def sdk() -> Any:
    """The SDK, loaded when something that needs it is built."""
    try:
        import openai  # noqa: PLC0415 # half a second, paid when a backend is built
    except ImportError:
        raise ConfigError("the OpenAI backend needs its SDK: pip install 'fastcascade[openai]'") from None
    return openai


def checked_client(client: "AsyncOpenAI") -> "AsyncOpenAI":
    """A client of the caller's own, if it is one."""
    fits: bool = isinstance(client, sdk().AsyncOpenAI)
    if not fits:
        msg = f"client must be an openai.AsyncOpenAI, not {type(client).__name__}"
        raise ConfigError(msg)
    return client


def checked_url(url: str | None) -> str:
    """Where to, if that is an address; empty for the SDK's own."""
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        msg = f"base_url must be like https://host/v1, not {scrub(url)!r}"
        raise ConfigError(msg)
    return url or ""


def key_for(given: str | None, base_url: str | None) -> str:
    """The key to send; that of the environment goes to OpenAI alone."""
    key = given or (NO_KEY if base_url else os.environ.get("OPENAI_API_KEY"))
    if not key:
        raise ConfigError(
            "no key for OpenAI: give api_key, set OPENAI_API_KEY, or give the base_url of another endpoint"
        )
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ConfigError("api_key has a character that no header can carry; look for a line end or a space")
    return key


@cache
def tls() -> Any:
    """The certificates that are trusted, read once: it takes longer than all the rest of making a client."""
    http = import_module("httpx2" if find_spec("httpx2") else "httpx")  # what the SDK rides on, by its version
    return http.create_ssl_context()
