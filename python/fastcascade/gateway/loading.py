"""From a file to what a worker serves. Done by each worker anew, so that a reload reads all of it again."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from fastcascade import config
from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastcascade.cascade import Cascade
    from fastcascade.config.models import Raw
    from fastcascade.gateway.app import Gatekeeper
    from fastcascade.gateway.joined import Joined
    from fastcascade.gateway.passthrough import Passthrough
    from fastcascade.gateway.proxy import Routes
    from fastcascade.shared.shared import Shared
    from fastcascade.wire.endpoint import Done, Endpoint

__all__ = ["Service", "load", "settings_of"]

ANSWERS: Final = "answers"
"""What a cache of answers is called that was given no name."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is served, and to whom."""

    endpoint: "Endpoint"
    cascades: "Mapping[str, Cascade]"
    gate: "Gatekeeper | None" = None
    routes: "Routes | None" = None
    joined: "Joined | None" = None


def settings_of(
    file: str | os.PathLike[str], given: "Mapping[str, Any] | None" = None, place: config.Place | None = None
) -> Settings:
    """The settings of the server as the file has them; what is `given` elsewhere goes before. Nothing is built."""
    told, given = config.load_settings(file, place), dict(given or {})
    if "drain" in given:  # the wait before it may be the file's, made for a longer one
        given.setdefault("linger", min(told.linger, given["drain"] / 4))
    return replace(told, **given)


def load(file: str | os.PathLike[str], settings: Settings, place: config.Place | None = None) -> Service:
    """Build it all. Raises `ConfigError` with all that is wrong with the file."""
    from fastcascade.gateway.work import heard  # noqa: PLC0415 - asyncio, which settings do not need
    from fastcascade.wire.endpoint import Endpoint  # noqa: PLC0415 - as above

    whole, folder = config.load_all(file, place), Path(file).resolve().parent if place is None else place.folder
    for name, cascade in whole.cascades.items() if len(whole.cascades) > 1 else ():
        if cascade.cache is not None and cascade.cache.name == ANSWERS:
            cascade.cache.name = f"{ANSWERS}-{name}"  # or each would take the place of what another has kept
    shared = _shared(settings)
    gate = _gate(settings, folder, shared)
    # Routes alone cost nobody a model: they may be for everybody, each as its own `guard` says.
    settings.check_open(guarded=gate is not None or not (whole.cascades or whole.models))
    _known_models(settings, {*whole.cascades, *whole.models})
    raws = {name: _raw(name, each.raw, heard) for name, each in whole.models.items() if each.raw is not None}
    named = None
    if whole.models:
        from fastcascade.gateway.choosing import Named  # noqa: PLC0415 - for those who have other names

        named = Named(whole.cascades, whole.default, whole.models, raws)
    endpoint: Endpoint
    if not (whole.cascades or whole.models):
        endpoint = cast("Endpoint", None)  # nobody asks it: all paths are the table's
    elif settings.observes:
        from fastcascade.gateway.observe import Observing  # noqa: PLC0415 - for those who observe

        endpoint = Observing(whole.cascades, settings, folder, default=whole.default, on_done=heard, named=named)
    elif raws:
        from fastcascade.gateway.choosing import Choosing  # noqa: PLC0415 - for those who pass something through

        endpoint = Choosing(whole.cascades, named=named, default=whole.default, on_done=heard)
    else:
        endpoint = Endpoint(whole.cascades, default=whole.default, on_done=heard)
        endpoint.models = named or endpoint.models
    through = {name: each.through for name, each in whole.models.items() if each.through is not None}
    for name, each in through.items():
        each.name = each.name or name
    routes = _routes(settings, shared, apis=bool(whole.cascades))
    joined = _joined(shared, whole.cascades, Path(file))
    return Service(endpoint, {**whole.cascades, **through}, gate, routes, joined)


def _raw(name: str, told: "Raw", on_done: "Callable[[Done], object]") -> "Passthrough":
    """What passes bytes on as they are."""
    from fastcascade.gateway.passthrough import Passthrough  # noqa: PLC0415 - asyncio, which settings do not need

    bounds = {key: value for key in ("timeout", "connections", "ca") if (value := getattr(told, key)) is not None}
    try:
        return Passthrough(
            told.base_url,
            told.api_key or None,
            told.wire,
            name=told.name,
            price=told.price,
            prices=told.prices,
            headers=told.headers,
            on_done=on_done,
            **bounds,
        )
    except ConfigError as error:
        raise ConfigError(f"gateway.models.{name}: {error}") from None


def _routes(settings: Settings, shared: "Shared | None", *, apis: bool) -> "Routes | None":
    """What is answered beside the APIs."""
    if not settings.routes:
        return None
    if settings.keys is None and any(each.guard for each in settings.routes):
        raise ConfigError("gateway.routes: guard = true takes a key, and there are none: give keys = 'keys.json' too")
    from fastcascade.gateway.proxy import Routes  # noqa: PLC0415 - asyncio, which settings do not need

    return Routes(settings, apis=apis, shared=shared)


def _shared(settings: Settings) -> "Shared | None":
    """The store that it shares with other gateways."""
    told = settings.shared
    if told is None:
        return None
    from fastcascade.shared.shared import Shared  # noqa: PLC0415 - an extra

    try:
        return Shared(told.url, prefix=told.prefix, timeout=told.timeout)
    except ConfigError as error:
        raise ConfigError(f"gateway.shared: {error}") from None


def _joined(shared: "Shared | None", cascades: "Mapping[str, Cascade]", file: Path) -> "Joined | None":
    """What is shared there."""
    if shared is None:
        return None
    from fastcascade.gateway.joined import Joined  # noqa: PLC0415 - an extra

    return Joined(shared, cascades, hashlib.sha256(file.read_bytes()).digest())


def _gate(settings: Settings, folder: Path, shared: "Shared | None" = None) -> "Gatekeeper | None":
    """Who lets callers in, where keys are wanted."""
    if settings.keys is None:
        if settings.account:
            raise ConfigError("gateway.account keeps what keys have used: give keys = 'keys.json' too")
        return None
    from fastcascade.gateway.gatekeeper import gatekeeper  # noqa: PLC0415 - stores, which settings do not need

    return gatekeeper(settings, folder, shared)


def _known_models(settings: Settings, known: set[str]) -> None:
    """Overrides by model that would never hold are mistakes."""
    from fastcascade.config.mistakes import meant  # noqa: PLC0415 - seldom

    for name in settings.observe.models:
        if name not in known:
            near = meant(name, known)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(sorted(known))}"
            raise ConfigError(f"gateway.observe.models: there is no model {name!r}; {hint}")
