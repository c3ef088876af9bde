"""What a gateway forgets on demand: in its workers, by an operator's key."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastcascade.gateway.loading import load
from fastcascade.gateway.purges import Purge
from fastcascade.gateway.settings import Settings
from fastcascade.gateway.slate import KEPT, Slate
from gateways import Client, chat, running

CHAT = "/v1/chat/completions"
FILE = """
[gateway]
workers = 2
keys = "keys.json"

[gateway.cache]

[cache]

[[tiers]]
name = "small"
backend = { function = "answers:said" }
"""
ANSWERS = """
import os, time

def said(request):
    return f"{os.getpid()} {time.monotonic_ns()}"
"""
RUN = "import sys; from fastcascade.cli import main; sys.exit(main(sys.argv[1:]))"


def command(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one command."""
    given = [sys.executable, "-c", RUN, *map(str, args)]
    return subprocess.run(given, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def key_of(folder: Path, name: str, *more: str) -> str:
    """Make a key, and come back with its secret."""
    done = command("keys", "create", "--keys", folder / "keys.json", "--name", name, *more)
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.split() if word.startswith("fck_"))


def test_a_purge_reaches_every_worker_and_every_cache(tmp_path: Path) -> None:
    """After a purge no worker gives what it had kept; a key that is no operator's is refused, and nothing happens."""
    (tmp_path / "cascade.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "answers.py").write_text(ANSWERS, encoding="utf-8")
    caller, admin = key_of(tmp_path, "caller"), key_of(tmp_path, "boss", "--admin")
    with running(str(tmp_path / "cascade.toml"), "--port", "0") as (_, port):

        async def asked(clients: list[Client]) -> set[str]:
            found = set()
            for client in clients:
                headers = {"authorization": f"Bearer {caller}"}
                said = await client.ask("POST", CHAT, chat("why", temperature=0), headers)
                assert said.status == 200, said.body
                found.add(said.json()["choices"][0]["message"]["content"])
            return found

        async def go() -> None:
            clients = [Client(port) for _ in range(16)]
            first = await asked(clients)
            assert 1 <= len(first) <= 2  # one for each worker that has taken some of the connections
            assert await asked(clients) == first
            url = f"http://127.0.0.1:{port}"
            for wrong in (caller, "fck_nobody"):
                done = await asyncio.to_thread(command, "purge", url, "--everything", FASTCASCADE_ADMIN_KEY=wrong)
                assert done.returncode == 2
                assert wrong not in done.stderr
            assert await asked(clients) == first
            done = await asyncio.to_thread(command, "purge", url, "--tag", "tier:large", FASTCASCADE_ADMIN_KEY=admin)
            assert (done.returncode, done.stdout) == (0, "purged\n"), done.stderr
            await asyncio.sleep(0.3)  # workers look at the slate every tenth of a second
            assert await asked(clients) == first
            done = await asyncio.to_thread(command, "purge", url, "--tag", "tier:small", FASTCASCADE_ADMIN_KEY=admin)
            assert done.returncode == 0, done.stderr
            for _ in range(100):
                now = await asked(clients)
                if not now & first:
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("some worker has not forgotten")
            for client in clients:
                await client.close()

        asyncio.run(go())


def test_a_purge_needs_an_operators_key_to_be_set() -> None:
    """Without the variable it says which one, and asks nobody."""
    done = command("purge", "http://127.0.0.1:1", "--everything", FASTCASCADE_ADMIN_KEY="")
    assert done.returncode == 2
    assert "FASTCASCADE_ADMIN_KEY" in done.stderr


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=300)), max_size=120), st.sets(st.integers(0, 119)))
def test_what_is_written_on_the_slate_is_read_by_all_others_or_taken_for_more(
    words: list[tuple[int, str]], looks: set[int]
) -> None:
    """Each hears every word of the others in its place's order, or one that stands for everything."""
    slate = Slate(3)
    seen = [slate.numbers() for _ in range(3)]
    missed: list[list[str]] = [[], [], []]
    for number, (place, word) in enumerate(words):
        slate.write(place, word)
        for other in range(3):
            if other != place:
                missed[other].append(word)
        if number in looks or number == len(words) - 1:
            for reader in range(3):
                heard = slate.read(seen[reader], reader)
                if "" not in heard:
                    assert sorted(heard) == sorted(missed[reader])
                else:
                    whole = {each for each in missed[reader] if 0 < len(each.encode()) <= 254}
                    assert len(missed[reader]) >= KEPT or whole != set(missed[reader])
                missed[reader] = []


@given(st.text(), st.text())
def test_a_purge_reads_back_as_it_was_written(tag: str, path: str) -> None:
    """Its word says what it is of."""
    for purge in (Purge(), Purge(tag=tag), Purge(path=path)):
        assert Purge.of(purge.word) == purge


def test_caches_of_several_cascades_are_kept_apart(tmp_path: Path) -> None:
    """Each has a name of its own in the store and in metrics, unless the file gives them one."""
    tier = 'backend = { kind = "scripted", script = ["yes"] }'
    told = "".join(
        f"[cascades.{name}.cache]\n{more}\n[[cascades.{name}.tiers]]\n{tier}\n"
        for name, more in (("a", ""), ("b", ""), ("c", 'name = "own"'))
    )
    (tmp_path / "cascade.toml").write_text(told, encoding="utf-8")
    loaded = load(tmp_path / "cascade.toml", Settings())
    names = {name: each.cache.name for name, each in loaded.cascades.items() if each.cache is not None}
    assert names == {"a": "answers-a", "b": "answers-b", "c": "own"}
