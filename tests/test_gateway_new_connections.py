"""Connections that come while a worker takes leave: each is answered, by that worker or by the one in its place."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from fastcascade.gateway.listening import listen, mark_of, turn_away
from gateways import client_of, running
from test_gateway_serve import ENDS, run, waited, written

RELOADS = 5


def test_a_reload_loses_no_new_connection(tmp_path: Path) -> None:
    """Whoever connects anew for each request is answered, however often the workers are replaced meanwhile."""
    file = written(tmp_path, gateway="[gateway]\nlinger = 0.1\n")
    with running(file, *ENDS) as (process, port):

        async def main() -> None:
            lost: list[str] = []
            answered, over = 0, False

            async def asking() -> None:
                nonlocal answered
                while not over:
                    try:
                        async with client_of(port) as client:
                            answered += (await client.get("/v1/models")).status == 200
                    except (OSError, EOFError) as error:
                        lost.append(repr(error))

            clients = [asyncio.ensure_future(asking()) for _ in range(6)]
            for _ in range(RELOADS):
                process.signal(signal.SIGHUP)
                await waited(process, "reloaded")
            over = True
            await asyncio.gather(*clients)
            assert lost == [] and answered > 10 * RELOADS

        run(main)


def test_a_process_that_turns_away_leaves_connections_to_others() -> None:
    """None of its descriptors of the socket accepts any more; those of another process do, and other sockets stay."""
    if not Path("/dev/fd").exists():
        pytest.skip("there is no /dev/fd here")
    shared, other = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    port = shared.getsockname()[1]
    twice = shared.dup()
    client = socket.create_connection(("127.0.0.1", port), 5)  # waits to be accepted, by whomever
    ready, said = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            turn_away(mark_of(shared.fileno()))
            kept = (shared.getsockname()[1], twice.getsockname()[1], other.getsockname()[1])
            shared.setblocking(False)
            with suppress(BlockingIOError):
                shared.accept()
                os._exit(2)
            os.write(said, f"{port in kept[:2]} {kept[2]}".encode())
        os._exit(0)
    assert os.read(ready, 100).decode() == f"False {other.getsockname()[1]}"
    assert os.waitpid(child, 0)[1] == 0
    taken, _ = shared.accept()
    for each in (shared, other, twice, client, taken):
        each.close()
    os.close(ready)
    os.close(said)
