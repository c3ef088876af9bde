"""Gateways that follow what is published: real processes, a real server that is killed, and no request lost."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastcascade.cli import main as command
from fastcascade.shared.published import Published, Standing, Version
from fastcascade.shared.shared import Shared
from gateways import Process, chat, client_of, running
from real import until
from redis_server import RedisServer, redis_server
from test_gateway_serve import CHAT, ENDS, FUNCTIONS, PATIENT, Load, run, tier, waited

QUICK = "[gateway]\nlinger = 0.05"
FILE = """
{gateway}
[[tiers]]
name = "{name}"
backend = {{ function = "answers:{function}" }}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A store, named in the environment; and the functions that files here name."""
    (tmp_path / "answers.py").write_text(f"VERSION = 1\n{FUNCTIONS}", encoding="utf-8")
    with redis_server() as running_one:
        monkeypatch.setenv("FASTCASCADE_CONFIG_URL", running_one.url)
        yield running_one


def text(name: str, *, function: str = "instant", gateway: str = QUICK) -> str:
    """A configuration."""
    return FILE.format(name=name, function=function, gateway=gateway)


def publish(server: RedisServer, said: str) -> Version:
    """Publish whatever it is, unchecked."""

    async def main() -> Version:
        shared = Shared(server.url, timeout=5.0)
        try:
            return await Published(shared).publish(said, who="test")
        finally:
            await shared.aclose()

    return asyncio.run(main())


def standings(server: RedisServer) -> list[Standing]:
    """How gateways stand."""

    async def main() -> list[Standing]:
        shared = Shared(server.url, timeout=5.0)
        try:
            return await Published(shared).standings()
        finally:
            await shared.aclose()

    return asyncio.run(main())


def options(folder: Path, copies: str = "copies") -> list[str]:
    """Those of a gateway that follows."""
    here = ["--from", "--folder", str(folder), "--copies", str(folder / copies), "--allow-functions"]
    return [*here, *ENDS]


def test_what_is_published_is_served_by_all_and_no_request_is_lost(tmp_path: Path, server: RedisServer) -> None:
    """Two gateways under load take a new version up, and go back to the old one; each says which it runs."""
    file = tmp_path / "cascade.toml"
    file.write_text(text("small", gateway=PATIENT), encoding="utf-8")
    assert command(["publish", str(file), "--comment", "first"]) == 0
    with (
        running(*options(tmp_path, "one")) as (one, first),
        running(*options(tmp_path, "two"), "--workers", "2") as (two, second),
    ):

        async def main() -> None:
            loads = [Load(first, 4), Load(second, 4)]
            asking = asyncio.gather(*(each.run() for each in loads))
            await until(lambda: all(each.answered > 20 for each in loads), "answers")
            file.write_text(text("other", gateway=PATIENT), encoding="utf-8")
            assert await asyncio.to_thread(command, ["publish", str(file)]) == 0
            await asyncio.gather(waited(one, "reloaded"), waited(two, "reloaded"))
            enough = [each.answered + 20 for each in loads]
            await until(lambda: all(e.answered > n for e, n in zip(loads, enough, strict=True)), "more answers")
            for each in loads:
                each.over = True
            await asking
            assert [each.lost for each in loads] == [[], []]

        run(main)
        assert (tier(first), tier(second)) == ("other", "other")
        assert command(["publish", "--back", "1"]) == 0
        one.said("reloaded")
        two.said("reloaded")
        assert (tier(first), tier(second)) == ("small", "small")
        run(lambda: until_stand(server, [3, 3]))
        assert command(["publish", "--status"]) == 0


async def until_stand(server: RedisServer, runs: list[int], refused: int = 0) -> None:
    """Wait until gateways say that they run these, and have refused that."""
    while True:
        found = await asyncio.to_thread(standings, server)
        if [each.runs for each in found] == runs and {each.refused for each in found} == {refused}:
            return


def test_a_broken_version_is_refused_by_all(
    tmp_path: Path, server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ran before goes on, also for a worker that begins anew; it is said why; and the next good one is served."""
    publish(server, text("small"))
    with (
        running(*options(tmp_path, "one")) as (one, first),
        running(*options(tmp_path, "two")) as (two, second),
    ):
        for number, broken in (
            (2, "no TOML ="),
            (3, text("other", function="nothing")),
            (4, text("x" * 9, gateway="[x")),
        ):
            publish(server, broken)
            one.said("what ran before still runs")
            two.said("what ran before still runs")
            run(lambda number=number: until_stand(server, [1, 1], number))  # type: ignore[misc]
        assert command(["publish", "--status"]) == 1
        assert "refused version 4" in capsys.readouterr().out
        (worker,) = [each for each in one.workers() if each != courier_of(one)]

        os.kill(worker, signal.SIGKILL)
        one.said("ended by itself")
        assert (tier(first), tier(second)) == ("small", "small")
        publish(server, text("other"))
        one.said("reloaded")
        two.said("reloaded")
        assert (tier(first), tier(second)) == ("other", "other")
        run(lambda: until_stand(server, [5, 5]))


def courier_of(process: Process) -> int:
    """The process that fetches."""
    (found,) = [each for each in process.workers() if b"gateway.courier" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return found


def test_the_store_is_killed_and_comes_back(tmp_path: Path, server: RedisServer) -> None:
    """What runs goes on; what is published once it is back is served. One that begins meanwhile has the last copy."""
    publish(server, text("small"))
    with running(*options(tmp_path)) as (process, port):
        server.kill()
        process.said("what runs goes on")
        assert tier(port) == "small"
        with running(*options(tmp_path)) as (late, another):
            assert tier(another) == "small"
            server.start()
            process.said("is there again")
            publish(server, text("other"))
            process.said("reloaded")
            late.said("reloaded")
            assert (tier(port), tier(another)) == ("other", "other")


def test_without_store_and_copy_it_says_so(tmp_path: Path, server: RedisServer) -> None:
    """Nothing published, or nobody there, and no copy: one line, and exit code 2."""
    with Process(*options(tmp_path)) as process:
        assert process.end() == 2
        assert any("nothing is published as 'default'" in line for line in process.errors)
    server.kill()
    with Process(*options(tmp_path)) as process:
        assert process.end() == 2
        assert any("there is no copy" in line for line in process.errors)


def test_it_begins_with_the_last_good_copy(tmp_path: Path, server: RedisServer) -> None:
    """Where the store is away, and where the newest cannot be served, whether it is read or only tried."""
    publish(server, text("small"))
    with running(*options(tmp_path)) as (_, port):
        assert tier(port) == "small"
    for broken in ("no TOML =", text("other", function="nothing")):
        publish(server, broken)
        with Process(*options(tmp_path)) as process:
            process.said("serving the last good copy, version 1")
            assert tier(process.ready()) == "small"
    server.kill()
    with Process(*options(tmp_path)) as process:
        process.said("serving the last good copy, version 1")
        assert tier(process.ready()) == "small"
    damaged = next((tmp_path / "copies").glob("default.1.*.toml"))
    damaged.write_text(damaged.read_text() + "#", encoding="utf-8")
    with Process(*options(tmp_path)) as process:
        assert process.end() == 2


def test_copies_are_their_owners_alone(tmp_path: Path, server: RedisServer) -> None:
    """A copy may hold what nobody else is to read."""
    publish(server, text("small"))
    with running(*options(tmp_path)):
        copies = tmp_path / "copies"
        assert copies.stat().st_mode & 0o777 == 0o700
        assert {each.stat().st_mode & 0o777 for each in copies.iterdir()} == {0o600}


def test_code_is_run_only_where_it_is_allowed(tmp_path: Path, server: RedisServer) -> None:
    """Who can write to the store cannot have a gateway run what it was not told to, nor import what lies beside."""
    (tmp_path / "answers.py").write_text("raise SystemExit('it was run')", encoding="utf-8")
    publish(server, text("small"))
    with Process(*[each for each in options(tmp_path) if each != "--allow-functions"]) as process:
        assert process.end() == 2
        assert any("--allow-functions" in line for line in process.errors)
        assert not any("it was run" in line for line in process.errors)


def test_relative_paths_begin_at_the_folder(tmp_path: Path, server: RedisServer) -> None:
    """The file of keys lies beside the gateway, not beside the copy."""
    assert command(["keys", "create", "--keys", str(tmp_path / "keys.json"), "--name", "a"]) == 0
    publish(server, text("small", gateway='[gateway]\nkeys = "keys.json"'))
    with running(*options(tmp_path)) as (_, port):

        async def main() -> None:
            async with client_of(port) as client:
                assert (await client.post(CHAT, chat("hi"))).status == 401

        run(main)


def test_a_courier_that_dies_is_replaced(tmp_path: Path, server: RedisServer) -> None:
    """What is published afterwards is served all the same."""
    publish(server, text("small"))
    with running(*options(tmp_path)) as (process, port):
        os.kill(courier_of(process), signal.SIGKILL)
        publish(server, text("other"))
        process.said("reloaded")
        assert tier(port) == "other"
        run(lambda: until_stand(server, [2]))


def test_it_takes_leave(tmp_path: Path, server: RedisServer) -> None:
    """A gateway that has ended is off the list, and leaves no process behind."""
    publish(server, text("small"))
    with running(*options(tmp_path)) as (process, _):
        run(lambda: until_stand(server, [1]))
        courier = courier_of(process)
        process.signal(signal.SIGTERM)
        assert process.end() == 0
        assert not Path(f"/proc/{courier}").exists()
        assert standings(server) == []


def test_status_is_told_as_json(tmp_path: Path, server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """For who watches a rollout; the exit code says whether all run the newest."""
    publish(server, text("small"))
    with running(*options(tmp_path)):
        run(lambda: until_stand(server, [1]))
        capsys.readouterr()
        assert command(["publish", "--status", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["newest"] == 1
        assert [each["runs"] for each in told["gateways"]] == [1]
