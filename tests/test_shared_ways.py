"""Ways in: a unix socket, TLS both ways, and a user with an access list."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import trustme

from redis_server import RedisServer, redis_server
from shared_parts import Ear, a_shared, gate, refused

QUICK: Final = ("--appendonly", "no", "--save", "")
PASSWORD: Final = "open-sesame"


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server of one test's."""
    with redis_server(*QUICK) as running:
        yield running


def test_unix_socket(tmp_path: Path) -> None:
    """A server on a unix socket is used like any other, in the database that was named."""
    path = tmp_path / "s"

    async def go() -> None:
        async with a_shared(f"unix://{path}?db=3") as shared:
            await shared.call("SET", b"k", 1)
            assert "db=3" in (await shared.call("CLIENT", "INFO")).decode()

    with redis_server(*QUICK, "--unixsocket", str(path)):
        asyncio.run(go())


BEGIN: Final = "-@all +hello +client|tracking +select +ping +role"
NEWS: Final = "+evalsha +eval +time +xadd +xread +xrange +xinfo|stream"


def test_access_list(own: RedisServer) -> None:
    """A user with just these commands and keys does; what it may not do, and a wrong password, are said so."""
    may = (*BEGIN.split(), *NEWS.split(), "+get", "+set")
    own.tell("ACL", "SETUSER", "ann", "on", f">{PASSWORD}", "~fastcascade:*", *may)
    own.tell("ACL", "SETUSER", "default", "off")
    at = f"127.0.0.1:{own.port}"

    async def go() -> None:
        ear = Ear()
        async with a_shared(f"redis://ann:{PASSWORD}@{at}/1", ear) as shared:
            shared.news.on("k", lambda _place, fields: ear.note(dict(fields)))
            await shared.call("SET", shared.key("a"), 1)
            assert await shared.call("GET", shared.key("a")) == b"1"
            await shared.news.tell("k", {"a": "b"})
            await ear.until(lambda: {b"a": b"b"} in ear.heard)
            for command in (("DEL", shared.key("a")), ("GET", b"elsewhere")):
                assert "access list" in await refused(shared, *command)
        for url, says in ((f"redis://ann:wrong-{PASSWORD}@{at}", "password"), (f"redis://{at}", "password")):
            async with a_shared(url) as shared:
                said = await refused(shared, "PING")
                assert says in said
                assert PASSWORD not in said

    asyncio.run(go())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Certificates: of the server, of ours, of the authority of both, and of another."""
    ours, another = trustme.CA(), trustme.CA()
    names = ("ca", "other", "cert", "key", "mine")
    files = {name: str(tmp_path / name) for name in names}
    ours.cert_pem.write_to_path(files["ca"])
    another.cert_pem.write_to_path(files["other"])
    issued = ours.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(files["cert"])
    issued.private_key_pem.write_to_path(files["key"])
    ours.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(files["mine"])
    return files


async def check_tls(port: int, files: dict[str, str]) -> None:
    """What must hold of any server that wants a certificate of ours, and has one for localhost."""
    mine = f"cert={files['mine']}&key={files['mine']}"
    url = f"rediss://localhost:{port}?ca="
    async with a_shared(f"{url}{files['ca']}&{mine}", timeout=2) as shared:
        assert await shared.call("PING") == b"PONG"
    for wrong, says in (
        (f"{url}{files['other']}&{mine}", "not trusted"),
        (f"{url}{files['ca']}&{mine}".replace("localhost", "127.0.0.1"), "another host"),
        (f"{url}{files['ca']}", "cannot be reached"),
        (f"redis://localhost:{port}", "cannot be reached"),
    ):
        async with a_shared(wrong, timeout=2) as shared:
            assert says in await refused(shared, "PING")


def test_tls(own: RedisServer, files: dict[str, str]) -> None:
    """A certificate must be trusted and for this host; whoever wants one of ours gets it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    context.load_verify_locations(files["ca"])
    context.verify_mode = ssl.CERT_REQUIRED

    async def go() -> None:
        async with gate(own.port, context) as line:
            await check_tls(line.port, files)

    asyncio.run(go())


def test_tls_of_the_server_itself(files: dict[str, str]) -> None:
    """The same holds where it is the server that speaks TLS."""
    settings = ("--tls-cert-file", files["cert"], "--tls-key-file", files["key"], "--tls-ca-cert-file", files["ca"])
    with redis_server(*QUICK, *settings, wants_tls=True) as server:
        asyncio.run(check_tls(server.port, files))
