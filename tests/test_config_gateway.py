"""One file for the whole service: several cascades, what the gateway is told, and nothing that only code can say."""

import asyncio
import inspect
import json
import random
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings

from config_pieces import cascades as pieces
from fastcascade import Cascade, ConfigError, Tier, config
from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import Foreign, alternatives, is_part
from fastcascade.config.settings import FLAT, settings_of
from fastcascade.entry import Instance, Pool
from fastcascade.gateway import loading
from fastcascade.gateway.gatekeeper import KeyGate
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.observe import Observing
from fastcascade.gateway.settings import Kept, Limits, Observe, Settings, Tls
from fastcascade.wire.endpoint import Endpoint, Response
from gateways import chat
from tomls import Writer

TIER = """
[[{at}tiers]]
name = "{name}"
backend = {{ kind = "rules", faq = {{ hi = "{says}" }} }}
"""
ONE = TIER.format(at="", name="small", says="one")
TWO = TIER.format(at="cascades.chat.", name="small", says="a") + TIER.format(at="cascades.code.", name="big", says="b")


def written(folder: Path, text: str) -> Path:
    """A file."""
    file = folder / "cascade.toml"
    file.write_text(dedent(text), encoding="utf-8")
    return file


def mistakes(folder: Path, text: str, read: Callable[[Path], object] = config.load) -> list[str]:
    """What is wrong with it, without the name of the file."""
    file = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        read(file)
    return [line.removeprefix(f"{file}, ").removeprefix(f"{file}: ") for line in str(caught.value).split("\n")]


def says(cascade: Cascade) -> str:
    """What it answers."""
    return cascade.run_sync("hi").text


# Several cascades.


def test_several_cascades_have_names(tmp_path: Path) -> None:
    """Each is its own; the default, or a name, says which is meant, and without either the error lists them."""
    file = written(tmp_path, f'default = "code"\n{TWO}')
    assert (says(config.load(file)), says(config.load(file, "chat"))) == ("b", "a")
    assert set(config.load_all(file).cascades) == {"chat", "code"}
    file = written(tmp_path, TWO)
    for name in ("", "cod"):
        with pytest.raises(ConfigError, match="there are: chat, code"):
            config.load(file, name)


def test_prices_are_shared(tmp_path: Path) -> None:
    """One sheet at the top is every cascade's, but for one that has its own."""
    prices = '[prices]\nsource = false\noverrides = { "m" = { input = 1.0, output = 2.0 } }\n'
    whole = config.load_all(written(tmp_path, f"{TWO}{prices}[cascades.code.prices]\nsource = false\n"))
    chatting, code = whole.cascades["chat"], whole.cascades["code"]
    assert "m" in chatting.prices.overrides and not code.prices.overrides


@settings(max_examples=15, deadline=None)
@given(pieces())
def test_a_cascade_is_the_same_by_name(said: Any) -> None:
    """Whatever can stand at the top of a file can stand in [cascades.NAME]."""
    table = {key: each for key, each in said.toml.items() if key != "prices"}
    document = {"cascades": {"one": table}, "prices": said.toml["prices"]}
    text = Writer(document, random.Random(1)).text
    assert repr(config.loads(text)) == repr(said.made())


WRONG: dict[str, tuple[str, list[str]]] = {
    "a cascade's setting at the top": (
        f"refusals = 'accept'\n{TWO}",
        ["line 1: refusals: no setting of a file with [cascades]; it belongs in a [cascades.NAME]"],
    ),
    "misspelt at the top": (f"defalt = 'chat'\n{TWO}", ["line 1: defalt: no such setting; did you mean 'default'?"]),
    "no such default": (
        f"default = 'chad'\n{TWO}",
        ["line 1: default: no such cascade: 'chad'; did you mean 'chat'? There are: chat, code"],
    ),
    "a default of one": (
        f"default = 'x'\n{ONE}",
        ["line 1: default: which of [cascades.NAME] is meant where none is; there is only one here"],
    ),
    "a name that parts": (
        TIER.format(at='cascades."a/b".', name="s", says="x"),
        ["line 2: cascades.\"a/b\": the name of a cascade has no '/' and no ':', which part it from a tier's"],
    ),
    "mistakes in two": (
        TWO.replace("name = ", "nam = "),
        [
            "line 3: cascades.chat.tiers[0].nam: no such setting; did you mean 'name'?",
            "line 7: cascades.code.tiers[0].nam: no such setting; did you mean 'name'?",
        ],
    ),
    "a tier of another": (
        f"{TWO}[cascades.chat.lanes]\nlarge = 'big'\n",
        ["line 10: cascades.chat.lanes.large: no such tier: 'big'; there are: small"],
    ),
    "gateway misspelt": (f"{ONE}[gatway]\nport = 1\n", ["line 5: gatway: no such setting; did you mean 'gateway'?"]),
    "in the gateway": (
        f"{ONE}[gateway]\nwrokers = 1\nport = 70000\nmode = 'observ'\nlimits = {{ idel = 1, body = 0 }}\n",
        [
            "line 6: gateway.wrokers: no such setting; did you mean 'workers'?",
            "line 7: gateway.port: port must be from 0 to 65535, not 70000",
            "line 8: gateway.mode: no such value: 'observ'; did you mean 'observe'? There are: enforce, observe",
            "line 9: gateway.limits.idel: no such setting; did you mean 'idle'?",
            "line 9: gateway.limits.body: limits: body must be above zero, not 0",
        ],
    ),
    "a secret in the file": (
        f"{ONE}[gateway]\nmetrics_key = 'hush-hush'\n",
        [
            "line 6: gateway.metrics_key: a secret may not stand in the file; write 'env:NAME' for a variable ...",
        ],
    ),
    "models": (
        f"""{ONE}[gateway.models]
a = {{ teir = 'small' }}
b = {{ tier = 'smal' }}
c = {{ passthrough = 'antropic' }}
d = {{}}
cascade = {{ tier = 'small' }}
e = {{ tier = 'small', x = 1 }}
f = {{ cascade = 'x' }}
g = {{ tier = 'small', cascade = 'cascade' }}
h = 'small'
""",
        [
            "line 6: gateway.models.a.teir: no such setting; did you mean 'tier'?",
            "line 7: gateway.models.b.tier: no such tier: 'smal'; did you mean 'small'? There are: small",
            "line 8: gateway.models.c.passthrough: no such kind: 'antropic'; did you mean 'anthropic'? There are: ...",
            "line 9: gateway.models.d: needs one of: tier, cascade, passthrough",
            "line 10: gateway.models.cascade: 'cascade' is the name of a cascade already",
            "line 11: gateway.models.e.x: no such setting; there are: tier",
            "line 12: gateway.models.f.cascade: no such cascade: 'x'; there are: cascade",
            "line 13: gateway.models.g: needs one of: tier, cascade, passthrough",
            "line 14: gateway.models.h: must be a table, not a text",
        ],
    ),
    "observe": (
        f"{ONE}[gateway.observe]\nshare = 2\nusd = 0\nroutes = {{ a = 'of' }}\n",
        [
            "line 6: gateway.observe.share: observe: share goes from 0 to 1, and is 2",
            "line 7: gateway.observe.usd: observe: usd must be dollars above zero, not 0",
            "line 8: gateway.observe.routes.a: no such value: 'of'; there are: enforce, observe",
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_told_all_at_once(name: str, tmp_path: Path) -> None:
    """With their lines, their paths and what may have been meant."""
    text, wanted = WRONG[name]
    said = mistakes(tmp_path, text)
    assert len(said) == len(wanted), said
    for one, other in zip(said, wanted, strict=True):
        assert one.startswith(other[:-3]) if other.endswith("...") else one == other


# What the gateway is told.


def test_the_whole_of_a_gateway_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting comes to what the constructors have, paths from the file's folder, secrets from elsewhere."""
    monkeypatch.setenv("METRICS", "m-secret")
    file = written(
        tmp_path,
        f"""
        {ONE.replace(chr(10), chr(10) + " " * 8)}
        [gateway]
        host = "0.0.0.0"
        port = 8443
        workers = 3
        tls = {{ cert = "c.pem", key = "k.pem", client_ca = "ca.pem" }}
        limits = {{ requests = 10, whole = false }}
        drain = 9
        linger = 1
        cache = true
        access_log = true
        metrics_key = "env:METRICS"
        keys = "keys.json"
        account = "sqlite:used.db"
        mode = "observe"
        observe = {{ usd = 2, enforce = 0.1, by = "request", routes = {{ a = "enforce" }} }}
        """,
    )
    assert config.load_settings(file) == Settings(
        host="0.0.0.0", port=8443, workers=3,  # noqa: S104 - it is only said
        tls=Tls(tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "ca.pem"),
        limits=Limits(requests=10, whole=None), drain=9, linger=1, cache=Kept(), access_log=True,
        metrics_key="m-secret", keys=tmp_path / "keys.json", account="sqlite:used.db",
        mode="observe", observe=Observe(usd=2, enforce=0.1, by="request", routes={"a": "enforce"}),
    )  # fmt: skip
    assert says(config.load(file)) == "one"
    assert "secret" not in repr(config.load_settings(file))


def test_settings_build_nothing(tmp_path: Path) -> None:
    """What the supervisor reads imports and makes nothing of a cascade; with a mistake all of the file is told."""
    own = '[[tiers]]\nname = "a"\nbackend = { function = "not_there_at_all:f" }\n[gateway]\nport = 1\n'
    assert config.load_settings(written(tmp_path, own)).port == 1
    said = mistakes(tmp_path, f"{own}prot = 2\n", config.load_settings)
    assert len(said) == 2 and "not_there_at_all" in said[0] and "gateway.prot" in said[1]


def test_the_command_line_comes_first(tmp_path: Path) -> None:
    """What was given there stands; what was not is the file's; the end is never sooner than its beginning."""
    file = written(tmp_path, f"{ONE}[gateway]\nport = 9000\nworkers = 4\nhost = '127.0.0.2'\n")
    told = loading.settings_of(file, {"port": 9001, "drain": 1.0, "access_log": True})
    assert (told.port, told.workers, told.host, told.drain, told.access_log) == (9001, 4, "127.0.0.2", 1.0, True)
    assert told.linger == 0.25
    assert loading.settings_of(written(tmp_path, ONE)) == Settings()


def test_what_is_served_is_what_is_said(tmp_path: Path) -> None:
    """Names of cascades, of tiers and of what is passed through each answer; the rest goes to the default."""

    async def main() -> None:
        file = written(
            tmp_path,
            f"""default = "chat"\n{TWO}
[gateway.models]
"fast" = {{ tier = "chat/small" }}
"other" = {{ cascade = "code" }}
"raw" = {{ passthrough = "rules", faq = {{ hi = "c" }} }}
""",
        )
        service = loading.load(file, loading.settings_of(file))
        assert type(service.endpoint) is Endpoint and service.gate is None
        assert set(service.cascades) == {"chat", "code", "raw"}
        for model, wanted in {"chat": "a", "code": "b", "fast": "a", "other": "b", "raw": "c", "gpt-9": "a"}.items():
            response = await service.endpoint.handle("POST", "/v1/chat/completions", {}, chat("hi", model=model))
            assert json.loads(response.body or b"")["choices"][0]["message"]["content"] == wanted, model
        listed = await service.endpoint.handle("GET", "/v1/models", {}, b"")
        names = {each["id"] for each in json.loads(listed.body or b"")["data"]}
        assert names == {"chat", "chat/small", "code", "code/big", "fast", "other", "raw"}

    asyncio.run(main())


def test_the_mode_is_that_of_the_file(tmp_path: Path) -> None:
    """To observe, all or one route, is another endpoint; models that are told of must be there."""
    for text, wanted in (("mode = 'observe'", True), ("observe = { routes = { a = 'observe' } }", True), ("", False)):
        file = written(tmp_path, f"{ONE}[gateway]\n{text}\n")
        service = loading.load(file, loading.settings_of(file))
        assert isinstance(service.endpoint, Observing) is wanted
    file = written(tmp_path, f"{ONE}[gateway]\nobserve = {{ models = {{ cascad = 'observe' }} }}\n")
    with pytest.raises(ConfigError, match="no model 'cascad'; did you mean 'cascade'"):
        loading.load(file, loading.settings_of(file))


def test_strangers_are_not_served(tmp_path: Path) -> None:
    """A host that others reach needs keys, or the word that it does not; an account needs keys."""
    for text, wanted in (
        ("host = '0.0.0.0'", "callers need no keys"),
        ("account = 'sqlite:a.db'", "give keys = 'keys.json' too"),
    ):
        file = written(tmp_path, f"{ONE}[gateway]\n{text}\n")
        with pytest.raises(ConfigError, match=wanted):
            loading.load(file, loading.settings_of(file))
    file = written(tmp_path, f"{ONE}[gateway]\nhost = '0.0.0.0'\nallow_anyone = true\n")
    assert loading.load(file, loading.settings_of(file)).gate is None


def test_keys_are_asked_for(tmp_path: Path) -> None:
    """With a file of keys callers need one, and hosts that others reach may be served."""
    _, secret = KeyFile(tmp_path / "keys.json").create("one")
    file = written(tmp_path, f"{ONE}[gateway]\nhost = '0.0.0.0'\nkeys = 'keys.json'\naccount = 'sqlite:used.db'\n")
    gate = loading.load(file, loading.settings_of(file)).gate
    assert isinstance(gate, KeyGate)
    try:
        assert isinstance(gate.enter({}, "/v1/models", 0), Response)
        assert not isinstance(gate.enter({"x-api-key": secret}, "/v1/models", 0), Response)
    finally:
        gate.close()


# Everything that code can say.

ONLY_CODE: dict[str, str] = {
    "clock": "for tests",
    "draw": "for tests",
    "client": "a live object: what it is made of can be said",
}
"""Parameters that a file need not say, and why."""


def said(target: Any, name: str) -> Any:
    """The setting that a parameter is in a file."""
    told = settings_of(target)
    named = next((each for each, param in told.places.items() if param == name), name)
    return told.by_name.get(named)


def targets() -> dict[str, Any]:
    """Whatever a cascade and the gateway are made of, by name."""
    found: dict[str, Any] = {
        each.__name__: each for each in (Cascade, Tier, Pool, Instance, Settings, Limits, Kept, Tls, Observe)
    }
    waiting: list[Any] = list(found.values())
    for family in FAMILIES.values():
        waiting += [family.kind(name) for name in family.kinds]
    while waiting:
        target = waiting.pop()
        found[target.__name__] = target
        for setting in settings_of(target).by_name.values():
            for part in alternatives(setting.hint):
                if is_part(part) and part not in FAMILIES and part.__name__ not in found:
                    waiting.append(part)
    return found


def test_whatever_code_can_say_a_file_can() -> None:
    """Each parameter of each constructor is a setting, but for a few that are for tests or for live objects."""
    missing: list[str] = []
    known = targets()
    assert len(known) > 60
    for name, target in known.items():
        try:
            parameters = inspect.signature(target).parameters.values()
        except (TypeError, ValueError):  # of the core: its settings are listed by hand
            continue
        for each in parameters:
            if each.name.startswith("_") or each.kind is each.VAR_KEYWORD or each.name in ONLY_CODE:
                continue
            setting = said(target, each.name)
            flat = target in FLAT and FLAT[target][0] == each.name
            whom = target is Tier and each.name == "backend"
            if not flat and not whom and (setting is None or alternatives(setting.hint) == (Foreign,)):
                missing.append(f"{name}.{each.name}")
    assert missing == []


def test_an_endpoints_settings_are_a_gateways() -> None:
    """What an endpoint and an observer take is said in [gateway], or is the gateway's own to give."""
    given = {
        "models",
        "default",
        "on_done",
        "clock",
        "formats",
        "settings",
        "folder",
        "draw",
        "more",
        "heartbeat",
        "named",
        "events",
    }
    for target in (Endpoint, Observing):
        names = set(inspect.signature(target).parameters)
        assert names <= given | {each.name for each in fields(Settings)}


def test_what_is_told_of_the_files_is_so() -> None:
    """The example of a gateway in the words on config is one that can be read."""
    text = config.__doc__ or ""
    example = dedent(text[text.index("    [gateway]\n") : text.index("Whatever a constructor takes")])
    tier = TIER.format(at="cascades.chat.", name="small", says="x")
    assert config.loads(f"{tier}{example}").tiers[0].name == "small"
