"""`fastcascade doctor` on what is passed on, on what it is compared with, and on who can read metrics."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from fastcascade.cli.doctor_checks import Finding, examined
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.passthrough import Passthrough
from test_cli_doctor import KEY, _key, provider, status
from test_cli_doctor import found as found_of
from test_cli_doctor import written as written_at

__all__ = ["_key"]  # the fixture is used here too

STAR = '[gateway.models]\n"{name}" = {{ passthrough = "direct", wire = "{wire}", base_url = "{url}"{more} }}\n'
OWN = ', api_key = "env:DOCTOR_KEY"'


def starred(
    folder: Path, url: str, name: str = "m*", wire: str = "anthropic", more: str = OWN, gateway: str = ""
) -> Path:
    """A file with a name that has a star."""
    table = STAR.format(name=name, wire=wire, url=url if wire == "anthropic" else f"{url}/v1", more=more)
    return written_at(folder, gateway=f"{gateway}\n{table}")


def about(file: Path, check: str, name: str = "m*", **how: Any) -> list[Finding]:
    """What is found of it."""
    return [each for each in examined(file, **how) if each.check == check and each.said.startswith(name)]


@pytest.mark.parametrize(("listens", "wanted"), [(True, "ok"), (False, "fail")])
def test_providers_of_stars_are_reached(tmp_path: Path, listens: bool, wanted: str) -> None:
    """As those of tiers are; it is said that no model is asked, and a missing key is warned of."""
    with provider() as url:
        address = url if listens else "http://127.0.0.1:9"
        [finding] = about(starred(tmp_path, address), "reach")
        assert finding.status == wanted and KEY not in finding.said
        assert about(starred(tmp_path, address), "secrets") == []
        [finding] = about(starred(tmp_path, address, more=""), "secrets")
        assert finding.status == "warn" and "without a key" in finding.said
        more = ', headers = { authorization = "env:DOCTOR_KEY" }'
        assert about(starred(tmp_path, address, more=more), "secrets") == []


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("code", "name", "wanted", "said"),
    [
        (200, "m*", "ok", "its key is good for 2 model(s), such as m-1"),
        (200, "x*", "warn", "none of the 3 models"),
        (401, "m*", "fail", "auth"),
        (500, "m*", "warn", "its key is not tried"),
    ],
)
def test_online_a_provider_says_which_models_it_has(
    tmp_path: Path, wire: str, code: int, name: str, wanted: str, said: str
) -> None:
    """That costs nothing, and shows whether the key is good, and whether the name before the star is."""
    with provider(code) as url:
        findings = examined(starred(tmp_path, url, name, wire), online=True)
    [answer] = [each for each in findings if each.check == "answers" and each.said.startswith(name)]
    assert (answer.status, said in answer.said) == (wanted, True), answer
    assert not any(KEY in f"{each.said}{each.todo}" for each in findings)


def test_nobody_is_asked_offline(tmp_path: Path) -> None:
    """Without --online no list is asked for; one that cannot be reached is not tried."""
    file = starred(tmp_path, "http://127.0.0.1:9")
    assert about(file, "answers") == []
    [answer] = about(file, "answers", online=True, ask=lambda backends, _timeout: dict.fromkeys(backends, ""))
    assert answer.status == "warn" and "no answer" in answer.said


def test_a_certificate_of_its_own_is_trusted(tmp_path: Path) -> None:
    """What is reached with a `ca` is looked at with it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with provider(secure=authority.issue_cert("localhost")) as url:
        [plain] = about(starred(tmp_path, url), "reach")
        file = starred(tmp_path, url, more=f'{OWN}, ca = "ca.pem"')
        [trusted] = about(file, "reach")
        [answer] = about(file, "answers", online=True, ask=lambda backends, _timeout: dict.fromkeys(backends, ""))
    assert (plain.status, trusted.status, answer.status) == ("fail", "ok", "ok") and "not trusted" in plain.said


def test_what_is_not_observed_is_told(tmp_path: Path) -> None:
    """In observe mode a name is told of that is passed on while no cascade is to take its place."""
    observe = "mode = 'observe'"
    [finding] = about(starred(tmp_path, "http://127.0.0.1:9", gateway=observe), "observe")
    assert finding.status == "warn" and "instead" in finding.todo
    more = f'{OWN}, instead = "cascade"'
    assert about(starred(tmp_path, "http://127.0.0.1:9", more=more, gateway=observe), "observe") == []
    assert about(starred(tmp_path, "http://127.0.0.1:9"), "observe") == []


def test_a_saving_that_cannot_be_known_is_told(tmp_path: Path) -> None:
    """Where several cascades share no prices, what is passed on and observed needs a price of its own."""
    file = tmp_path / "cascade.toml"
    tier = '[[cascades.chat.tiers]]\nname = "small"\nbackend = { kind = "rules", faq = { hi = "a" } }\n'
    for price, wanted in (("", ["warn", "ok"]), (", price = { input = 1.0, output = 1.0 }", ["ok"])):
        star = STAR.format(
            name="m*", wire="anthropic", url="http://127.0.0.1:9", more=f'{OWN}, instead = "chat"{price}'
        )
        file.write_text(f"{tier}[gateway]\nport = 0\nmode = 'observe'\n{star}")
        assert sorted(status(file, "observe"), reverse=True) == wanted


def test_who_reads_metrics_is_told(tmp_path: Path) -> None:
    """Beyond this machine they are for a key; that there is none, or that they are open to all, is warned of."""
    keys = KeyFile(tmp_path / "keys.json")
    keys.create("one")
    public = "host = '0.0.0.0'\nkeys = 'keys.json'\n"
    assert status(written_at(tmp_path, gateway="keys = 'keys.json'"), "metrics") == []
    assert status(written_at(tmp_path, gateway=f"{public}metrics = false"), "metrics") == []
    assert status(written_at(tmp_path, gateway=public), "metrics") == ["warn"]
    assert status(written_at(tmp_path, gateway=f"{public}metrics = 'open'"), "metrics") == ["warn"]
    assert status(written_at(tmp_path, gateway=f"{public}metrics_key = 'env:DOCTOR_KEY'"), "metrics") == ["ok"]
    keys.create("me", admin=True)
    [finding] = found_of(written_at(tmp_path, gateway=public), "metrics")
    assert finding.status == "ok" and "of which 1 work" in finding.said


def test_what_the_doctor_shows_is_what_is_sent(tmp_path: Path) -> None:
    """The key goes to a provider as the pass-through itself sends it."""
    made = Passthrough("http://127.0.0.1:9", KEY, "anthropic")
    assert made._always["authorization"] == f"Bearer {KEY}"  # noqa: SLF001 - what the doctor's question repeats
