"""Keys beside the cascade's file: names of tiers and models that are none are told to operators, and not to callers."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import config
from fastcascade.cli.doctor_checks import examined
from fastcascade.cli.keys_fit import Misfit, misfits
from fastcascade.errors import ConfigError, WireError
from fastcascade.gateway.choosing import Named
from fastcascade.gateway.in_use import Patterns
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.keys import new_key
from fastcascade.wire.endpoint import Caller, Endpoint
from test_cli_keys import run

TIER = '[[cascades.{0}.tiers]]\nname = "{1}"\nbackend = {{ kind = "rules", faq = {{ hi = "one" }} }}\n'
TIERS = (("chat", "small"), ("chat", "large"), ("code", "draft"), ("code", "large"))
MORE = """
[gateway]
port = 0
keys = "keys.json"
[gateway.models]
"fast" = { tier = "chat/small" }
"claude-*" = { passthrough = "anthropic", api_key = "literal:made-up", base_url = "http://127.0.0.1:9" }
"""


def written(folder: Path) -> Path:
    """A file with two cascades, another name, and a star."""
    file = folder / "cascade.toml"
    file.write_text("".join(TIER.format(*each) for each in TIERS) + MORE, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> config.File:
    """What that says."""
    return config.load_all(written(tmp_path_factory.mktemp("file")))


def fits(whole: config.File, models: Any = None, **fields: Any) -> list[Misfit]:
    """What is said of such a key."""
    return list(misfits(new_key("ci", 0.0, models=models, fields=fields)[0], whole))


TOLD: list[tuple[Any, dict[str, str], str, bool]] = [
    (["chatt"], {}, "models: 'chatt' fits no model; did you mean 'chat'?", True),
    (["chat", "gpt-*"], {}, "models: 'gpt-*' fits no model; there are: 'chat', 'code', 'chat/small'", True),
    (["chat/smal"], {}, "did you mean 'chat/small'?", True),
    (["claud-3"], {}, "fits no model", True),
    (None, {"min_tier": "huge"}, "min_tier: there is no tier 'huge'; there are: 'small', 'large', 'draft'", True),
    (["chat"], {"max_tier": "smal"}, "max_tier: there is no tier 'smal'; did you mean 'small'?", True),
    (["code"], {"min_tier": "small"}, "min_tier: there is no tier 'small'; there are: 'draft', 'large'", True),
    (["chat", "code"], {"max_tier": "small"}, "max_tier: there is no tier 'small' in 'code'", False),
    (["chat", "claude-x"], {"max_tier": "small"}, "no tier 'small' in 'claude-*'", False),
    (["fast"], {"min_tier": "large", "max_tier": "small"}, "min_tier 'large' is above max_tier 'small'", True),
]


@pytest.mark.parametrize(("models", "fields", "said", "grave"), TOLD)
def test_what_does_not_fit_is_told(
    whole: config.File, models: Any, fields: dict[str, str], said: str, grave: bool
) -> None:
    """A model or a tier that is none is named, with the nearest there is, and whether anything can come of the key."""
    [found] = fits(whole, models, **fields)
    assert said in found.said and found.grave is grave


@pytest.mark.parametrize(
    ("models", "fields"),
    [
        (None, {}),
        ((), {}),
        (["*"], {"customer": "acme"}),
        (["ch*", "*/large", "fast", "claude-x", "claude-h*", "c*"], {}),
        (["chat", "code"], {"max_tier": "large"}),
        (["chat"], {"min_tier": "small", "max_tier": "large"}),
    ],
)
def test_what_fits_is_not_told(whole: config.File, models: Any, fields: dict[str, str]) -> None:
    """Names, patterns, and names and patterns under a star."""
    assert fits(whole, models, **fields) == []


ASKED = st.sampled_from(["chat", "code", "chat/small", "code/draft", "fast", "claude-x", "claude-haiku-4-5", "chat/x"])


@given(pattern=st.text("cahtodelu-*/smfx", min_size=1, max_size=9) | ASKED, model=ASKED)
def test_whatever_can_be_asked_for_fits(whole: config.File, pattern: str, model: str) -> None:
    """No pattern by which a request is let through is called a misfit."""
    names = Named(whole.cascades, whole.default, whole.models)
    caller = Caller(models=Patterns((pattern,)))
    try:
        names.choose(model, caller)
    except WireError as error:
        if "passed on" not in str(error):  # which tells that it is there
            return
    assert fits(whole, [pattern]) == []


def test_a_key_is_checked_before_it_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--config` nothing is written of a key that names no tier; of one that fits in part it is said where."""
    file, path = written(tmp_path), tmp_path / "keys.json"
    with pytest.raises(ConfigError, match=r"cascade\.toml: min_tier: there is no tier 'larg'; did you mean 'large'"):
        run("create", "--config", file, "--name", "ci", "--min-tier", "larg")
    with pytest.raises(ConfigError, match="models: 'chta' fits no model; did you mean 'chat'"):
        run("create", "--config", file, "--name", "ci", "--models", "code,chta")
    assert not path.exists()
    assert run("create", "--config", file, "--name", "ci", "--models", "chat,code", "--max-tier", "small") == 0
    assert "no tier 'small' in 'code'" in capsys.readouterr().err
    assert [each.name for each in KeyFile(path).read()] == ["ci"]


def test_a_file_whose_secrets_are_elsewhere_hinders_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the cascades cannot be built, a key is made all the same, and it is said that it was not checked."""
    file = written(tmp_path)
    file.write_text(file.read_text().replace("literal:made-up", "env:FC_NOT_SET_HERE"))
    assert run("create", "--config", file, "--name", "ci", "--min-tier", "larg") == 0
    said = capsys.readouterr()
    assert "not checked" in said.err and "FC_NOT_SET_HERE" in said.err and said.out.startswith("fck_")


def test_the_doctor_looks_at_keys(tmp_path: Path) -> None:
    """What a key that works names and is not there is told, by the key's id; of one that has ended nothing."""
    file, keys = written(tmp_path), KeyFile(tmp_path / "keys.json")

    def said() -> list[tuple[str, str]]:
        found = examined(file, reach=lambda _url, _timeout: "", now=lambda: dt.datetime.now(dt.UTC))
        return [(each.status, each.said) for each in found if each.check == "keys"]

    keys.create("good", models=["chat"])
    assert [status for status, _ in said()] == ["ok"]
    bad, secret = keys.create("bad", fields={"min_tier": "huge"})
    part, _ = keys.create("part", models=["chat", "code"], fields={"max_tier": "small"})
    told = said()
    assert [status for status, _ in told] == ["ok", "fail", "warn"]
    assert f"key {bad.id} (bad): min_tier: there is no tier 'huge'" in told[1][1] and part.id in told[2][1]
    assert secret not in repr(told)
    keys.revoke("bad")
    keys.revoke("part")
    assert [status for status, _ in said()] == ["ok"]


def test_what_is_called_grave_is_refused(whole: config.File) -> None:
    """As it is told, so it is: of the keys above, those of which nothing can come have each request refused."""
    endpoint = Endpoint(whole.cascades)
    for models, fields, _, grave in TOLD:
        caller = Caller(models=None if models is None else Patterns(models), fields=fields)
        told = []
        for name in ("chat", "code"):
            body = json.dumps({"model": name, "messages": [{"role": "user", "content": "hi"}]}).encode()
            told.append(asyncio.run(endpoint.handle("POST", "/v1/chat/completions", {}, body, caller)).status)
        assert (200 in told) is (not grave or ("chat" in (models or ()) and not fields))
