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

Several cascades in one file are `[cascades.NAME]`, each with what stands at the top of a file otherwise; `[prices]` at
the top is for all of them, and `default = "NAME"` says which is meant where none is named:

    default = "chat"
    [[cascades.chat.tiers]]
    ...
    [[cascades.code.tiers]]
    ...

What `fastcascade serve` is told stands in the same file; `load` checks its keys, and leaves it alone:

    [gateway]
    host = "0.0.0.0"
    port = 8443
    tls = { cert = "cert.pem", key = "key.pem" }
    limits = { requests = 500, whole = 600 }
    keys = "keys.json"
    account = "sqlite:account.db"
    mode = "observe"                 # see gateway/observe.py
    observe = { usd = 2.0, enforce = 0.1 }
    [gateway.models]                 # see config/models.py
    "fast" = { tier = "chat/small" }
    [[gateway.routes]]               # see gateway/proxy_settings.py
    path = "/ping"
    respond = { body = "pong" }

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

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from fastcascade.cascade import Cascade
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.place import Place
from fastcascade.config.whole import File, read, settings, text_of
from fastcascade.gateway.settings import Settings
from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.config.models import Model

__all__ = ["File", "Model", "Place", "load", "load_all", "load_settings", "loads"]

__getattr__ = loader(__name__, {"models": "Model"})


def load(path: str | PathLike[str], name: str = "") -> Cascade:
    """Read a file; of several cascades the one of this name, or the default. Raises `ConfigError` with all mistakes."""
    return load_all(path).cascade(name)


def loads(text: str, *, where: str = "", name: str = "") -> Cascade:
    """Read a text, which errors call `where`. Paths begin at the working folder."""
    return read(text, Mistakes(where), None).cascade(name)


def load_all(path: str | PathLike[str], place: Place | None = None) -> File:
    """Read all that a file says: its cascades, and what the gateway is told. Raises `ConfigError`.

    Args:
        path: the file.
        place: where its words are seen from; its own folder by default.
    """
    mistakes, place = Mistakes(str(path)), place or Place(Path(path).resolve().parent)
    return read(text_of(Path(path), mistakes), mistakes, place.folder, functions=place.functions)


def load_settings(path: str | PathLike[str], place: Place | None = None) -> Settings:
    """What a file tells the gateway; no cascade is built. Raises `ConfigError`."""
    mistakes, place = Mistakes(str(path)), place or Place(Path(path).resolve().parent)
    return settings(text_of(Path(path), mistakes), mistakes, place.folder, functions=place.functions)
