"""Who may read metrics: on this machine anyone, beyond it those with their key or with a key that is an admin's."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cascade, ConfigError, Tier, config, gateway
from fastcascade.backends import Function
from fastcascade.gateway.beside import Beside
from fastcascade.gateway.key_store import KeyFile
from gateways import PATIENCE, client_of, running, serving

ONE = '[[tiers]]\nname = "small"\nbackend = { kind = "rules", faq = { hi = "one" } }\n[gateway]\n'
BEARER = {"authorization": "Bearer sesame"}
ADMIN = {"x-api-key": "an-admin-key"}
PUBLIC = "0.0.0.0"  # noqa: S104 - it is only said


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


def admin(headers: Mapping[str, str]) -> bool:
    """Whether that is an admin's key."""
    return headers.get("x-api-key") == "an-admin-key"


WHO: list[tuple[dict[str, Any], dict[str, str], int]] = [
    ({}, {}, 200),
    ({"host": PUBLIC}, {}, 401),
    ({"host": PUBLIC}, BEARER, 401),
    ({"host": PUBLIC}, ADMIN, 200),
    ({"host": PUBLIC, "metrics": "open"}, {}, 200),
    ({"host": PUBLIC, "allow_anyone": True}, {}, 401),
    ({"host": PUBLIC, "metrics_key": "sesame"}, BEARER, 200),
    ({"host": PUBLIC, "metrics_key": "sesame", "metrics": "open"}, {}, 401),
    ({"metrics_key": "sesame"}, {}, 401),
    ({"metrics_key": "sesame"}, {"authorization": "Bearer s\u00e9same"}, 401),
    ({"metrics_key": "sesame"}, ADMIN, 200),
    ({"metrics": False}, ADMIN, 404),
]


@pytest.mark.parametrize(("told", "headers", "wanted"), WHO)
def test_metrics_are_for_whom_they_are(told: dict[str, Any], headers: dict[str, str], wanted: int) -> None:
    """What has been counted says who asks for what, and what it costs: nobody reads it by accident."""

    async def main() -> None:
        async with serving(Cascade(Tier(Function(lambda _request: "one"), name="small")), **told) as there:
            served = there.gateway
            served._own = Beside(served.settings, {}, served._board, served._write, admin=admin)  # noqa: SLF001
            said = await there.client().get("/metrics", **headers)
            assert said.status == wanted
            assert ("www-authenticate" in said.headers) is (wanted == 401)
            for path in ("/healthz", "/readyz"):
                assert (await there.client().get(path)).status != 401

    run(main)


def test_an_admins_key_reads_metrics_where_others_can_reach_them(tmp_path: Path) -> None:
    """Served in public with keys: one that is an admin's opens /metrics until it is revoked, and no other does."""
    keys = KeyFile(tmp_path / "keys.json")
    (_, plain), (admin_key, secret) = keys.create("plain"), keys.create("ops", admin=True)
    file = written(tmp_path, f"host = '{PUBLIC}'\nport = 0\nkeys = 'keys.json'\naccount = 'sqlite:used.db'")

    async def status(port: int, headers: Mapping[str, str]) -> int:
        async with client_of(port) as client:
            return (await client.get("/metrics", **headers)).status

    async def refused(port: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await status(port, {"x-api-key": secret}) == 200:
                pass

    with running(str(file)) as (process, port):
        bearer = {"authorization": f"Bearer {secret}"}
        for headers, wanted in (({}, 401), ({"x-api-key": plain}, 401), ({"x-api-key": secret}, 200), (bearer, 200)):
            assert asyncio.run(status(port, headers)) == wanted
        keys.revoke(admin_key.id)
        asyncio.run(refused(port))
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.errors
        assert not any(each in "".join(process.errors) for each in (plain, secret))


def written(folder: Path, text: str) -> Path:
    """A file with these lines on the gateway."""
    file = folder / "cascade.toml"
    file.write_text(f"{ONE}{text}\n")
    return file


def test_a_file_says_it(tmp_path: Path) -> None:
    """Metrics for all, or for none, and what is done while the account is off; a word that is none is told of."""
    told = config.load_settings(written(tmp_path, 'metrics = "open"\naccount_off = "open"'))
    assert (told.metrics, told.account_off) == ("open", "open")
    told = config.load_settings(written(tmp_path, "metrics = false"))
    assert (told.metrics, told.account_off) == (False, "closed")
    for text, said in (
        ("account_off = 'clsoed'", "line 5: gateway.account_off: no such value: 'clsoed'; did you mean 'closed'?"),
        ("metrics = 'opne'", "line 5: gateway.metrics: no such value: 'opne'; did you mean 'open'?"),
    ):
        with pytest.raises(ConfigError) as caught:
            config.load_settings(written(tmp_path, text))
        assert said in str(caught.value)


def test_the_package_names_its_files() -> None:
    """Who looks for where something is done finds each file, and none that is gone, in the package's first words."""
    named = re.findall(r"\w+\.py", gateway.__doc__ or "")
    there = {each.name for each in Path(gateway.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert len(named) == len(set(named)) and set(named) == there
