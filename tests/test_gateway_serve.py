"""The gateway as processes: it begins, ends, is reloaded, loses workers, and no request is lost meanwhile."""

import asyncio
import fcntl
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fastcascade.gateway.silent import KNOWN, sweep
from gateways import PATIENCE, Client, Process, chat, client_of, raw, running
from real import until

CHAT = "/v1/chat/completions"
FILE = """
[[tiers]]
name = "{name}"
backend = {{ function = "answers:{function}" }}
"""
LOCK = """
import fcntl, sys
with open(sys.argv[1], "wb") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(3)
"""
PATIENT = "[gateway]\nlinger = 2.0\n"
"""Each client is to have asked once more while its worker takes leave, on a machine with much else to do too."""
FUNCTIONS = """
import asyncio, pathlib
HERE = pathlib.Path(__file__).parent

async def instant(request):
    return f"{VERSION} {request.text}"

async def endless(request):
    try:
        while True:
            yield "word " * 2000
            await asyncio.sleep(0.001)
    finally:
        (HERE / "cut").touch()

async def held(request):
    (HERE / "asked").touch()
    while not (HERE / "free").exists():
        await asyncio.sleep(0.01)
    return "free"
"""
ENDS = ["--port", "0", "--drain", "10"]


def written(
    folder: Path, *, name: str = "small", function: str = "instant", version: int = 1, gateway: str = ""
) -> str:
    """A configuration, and the functions it names."""
    (folder / "answers.py").write_text(f"VERSION = {version}\n{FUNCTIONS}", encoding="utf-8")
    file = folder / "cascade.toml"
    file.write_text(gateway + FILE.format(name=name, function=function), encoding="utf-8")
    return str(file)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


def tier(port: int, secure: ssl.SSLContext | None = None) -> str:
    """Who answers there now."""
    found: list[str] = []

    async def main() -> None:
        async with client_of(port, secure) as client:
            said = await client.post(CHAT, chat("hi"))
            assert said.status == 200, said
            found.append(said.headers["x-cascade-tier"])

    run(main)
    return found[0]


class Load:
    """Clients that ask one request after another, each on a connection of its own, and count what is lost."""

    def __init__(self, port: int, clients: int = 8, secure: ssl.SSLContext | None = None) -> None:
        self.port, self.secure, self.clients = port, secure, clients
        self.answered = 0
        self.lost: list[str] = []
        self.over = False

    async def run(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self.clients)))

    async def _one(self) -> None:
        async with client_of(self.port, self.secure) as client:
            while not self.over:
                try:
                    said = await client.post(CHAT, chat("hi"))
                except (OSError, EOFError) as error:
                    self.lost.append(repr(error))
                    await client.close()
                else:
                    self.answered += said.status == 200
                    if said.status != 200:
                        self.lost.append(f"{said.status} {said.body[:200]!r}")


async def waited(process: Process, part: str) -> str:
    """Wait for a line while the loop goes on."""
    return await asyncio.to_thread(process.said, part)


def test_it_answers_and_ends_when_told(tmp_path: Path) -> None:
    """It says where it listens, answers there, and ends with 0 on SIGTERM, though a client stays connected."""
    with running(written(tmp_path), *ENDS) as (process, port):

        async def main() -> None:
            client = Client(port)
            assert (await client.post(CHAT, chat("hi"))).status == 200
            process.signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.end) == 0
            await client.close()

        run(main)
        assert process.errors == []


def test_what_is_in_work_comes_to_its_end(tmp_path: Path) -> None:
    """After Ctrl-C a request in work and a stream are answered whole; then it ends with 0."""
    with running(written(tmp_path, function="held"), *ENDS) as (process, port):

        async def main() -> None:
            async with client_of(port) as whole, client_of(port) as stream:
                await whole.send(raw("POST", CHAT, chat("hi")))
                await stream.send(raw("POST", CHAT, chat("hi", stream=True)))
                await until((tmp_path / "asked").exists, "the call")
                process.signal(signal.SIGINT)
                await until(lambda: nobody(port), "the socket to be closed")
                (tmp_path / "free").touch()
                said = await whole.head()
                assert (said.status, said.headers["x-cascade-tier"]) == (200, "small")
                assert (await stream.head()).status == 200
                assert b"".join([piece async for piece in stream.pieces()]).endswith(b"[DONE]\n\n")

        run(main)
        assert process.end() == 0


def nobody(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return bool(probe.connect_ex(("127.0.0.1", port)))


def test_what_does_not_end_in_time_is_told_so(tmp_path: Path) -> None:
    """What is still in work when the drain is over gets a 503 in its format, and the end is still 0."""
    with running(written(tmp_path, function="held"), "--port", "0", "--drain", "0.4") as (process, port):

        async def main() -> None:
            async with client_of(port) as client:
                await client.send(raw("POST", CHAT, chat("hi")))
                await until((tmp_path / "asked").exists, "the call")
                process.signal(signal.SIGTERM)
                assert (await client.head()).status == 503

        run(main)
        assert process.end() == 0
        assert any("1 requests were cut off" in line for line in process.errors)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Who asks twice does not wait for what is in work."""
    with running(written(tmp_path, function="held"), *ENDS) as (process, port):

        async def main() -> None:
            async with client_of(port) as client:
                await client.send(raw("POST", CHAT, chat("hi")))
                await until((tmp_path / "asked").exists, "the call")
                process.signal(signal.SIGTERM)
                await until(lambda: nobody(port), "the socket to be closed")
                process.signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.end) == 0

        run(main)


def test_a_reload_loses_no_request(tmp_path: Path) -> None:
    """While clients ask without a pause, both workers are replaced, twice: each request is answered with 200."""
    file = written(tmp_path, gateway=PATIENT)
    with running(file, *ENDS, "--workers", "2") as (process, port):

        async def main() -> None:
            load = Load(port)
            asking = asyncio.ensure_future(load.run())
            before = set(process.workers())
            for turn in range(2):
                written(tmp_path, name=f"tier{turn}", version=turn + 2, gateway=PATIENT)
                process.signal(signal.SIGHUP)
                await waited(process, "reloaded")
            enough = load.answered + 100
            await until(lambda: load.answered > enough, "more answers")
            load.over = True
            await asking
            assert load.lost == [] and load.answered > 200
            await until(lambda: len(process.workers()) == 2, "the old ones to end")
            assert not before & set(process.workers())

        run(main)
        assert tier(port) == "tier1"


def test_a_stream_outlives_a_reload(tmp_path: Path) -> None:
    """What an old worker has in work ends there, while new requests go to the new one."""
    with running(written(tmp_path, function="held"), *ENDS) as (process, port):

        async def main() -> None:
            async with client_of(port) as client:
                await client.send(raw("POST", CHAT, chat("hi", stream=True)))
                await until((tmp_path / "asked").exists, "the call")
                written(tmp_path, name="new")
                process.signal(signal.SIGHUP)
                await waited(process, "reloaded")
                assert await asyncio.to_thread(tier, port) == "new"
                (tmp_path / "free").touch()
                assert (await client.head()).headers["x-cascade-tier"] == "small"
                assert b"".join([piece async for piece in client.pieces()]).endswith(b"[DONE]\n\n")

        run(main)


BROKEN = [
    ("[[tiers]]\nname = 3\n", "cascade.toml, line 2"),
    ("[[tiers]\n", "cascade.toml, line 1"),
    ('[[tiers]]\nbackend = { function = "answers:nothing" }\n', "cascade.toml, line 2"),
]


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """What is wrong is said with file and line; what ran before still runs, and a good file is taken again."""
    file = written(tmp_path)
    with running(file, *ENDS) as (process, port):
        before = process.workers()
        for text, where in BROKEN:
            Path(file).write_text(text, encoding="utf-8")
            process.signal(signal.SIGHUP)
            process.said(where)
            process.said("what ran before still runs")
            assert (tier(port), process.workers()) == ("small", before)
        written(tmp_path, name="mended")
        process.signal(signal.SIGHUP)
        process.said("reloaded")
        assert tier(port) == "mended"


def test_a_change_is_seen(tmp_path: Path) -> None:
    """With --reload, the file and the functions beside it are served as they are soon after they were changed."""
    with running(written(tmp_path), *ENDS, "--reload") as (process, port):
        process.signal(signal.SIGHUP)  # by when it is done the files have been looked at
        process.said("reloaded")
        written(tmp_path, name="other", version=2)
        process.said("reloaded")
        assert tier(port) == "other"


def certificates(folder: Path, authority: trustme.CA) -> list[str]:
    """A new certificate with its key; the options that name them."""
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


def shown(port: int, secure: ssl.SSLContext) -> bytes:
    """The certificate that it shows."""
    found: list[bytes] = []

    async def main() -> None:
        async with client_of(port, secure) as client:
            _, writer = await client.open()
            found.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    run(main)
    return found[0]


def test_certificates_are_renewed_without_losing_a_request(tmp_path: Path) -> None:
    """A new certificate is served after a reload, under load; one that does not fit its key changes nothing."""
    authority = trustme.CA()
    secure = ssl.create_default_context()
    authority.configure_trust(secure)
    options = certificates(tmp_path, authority)
    with running(written(tmp_path, gateway=PATIENT), *ENDS, *options) as (process, port):
        first = shown(port, secure)

        async def main() -> None:
            load = Load(port, 4, secure)
            asking = asyncio.ensure_future(load.run())
            certificates(tmp_path, authority)
            process.signal(signal.SIGHUP)
            await waited(process, "reloaded")
            enough = load.answered + 20
            await until(lambda: load.answered > enough, "more answers")
            load.over = True
            await asking
            assert load.lost == []

        run(main)
        second = shown(port, secure)
        assert second != first
        authority.issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "key.pem")
        process.signal(signal.SIGHUP)
        assert "the key is not that of the certificate" in process.said("cert.pem")
        process.said("what ran before still runs")
        assert shown(port, secure) == second


def test_a_key_that_the_server_cannot_use_is_said(tmp_path: Path) -> None:
    """What Python's own TLS takes and the server does not ends a start with words, and changes nothing at a reload."""
    unfit = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, unfit.public_key(), 1, now - timedelta(1), now + timedelta(1))
    pem = unfit.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file, authority, secure = written(tmp_path), trustme.CA(), ssl.create_default_context()
    authority.configure_trust(secure)
    options = certificates(tmp_path, authority)
    with running(file, *ENDS, *options) as (process, port):
        (tmp_path / "key.pem").write_bytes(pem)
        (tmp_path / "cert.pem").write_bytes(made.sign(unfit, SHA256()).public_bytes(Encoding.PEM))
        process.signal(signal.SIGHUP)
        process.said("does not take this certificate")
        process.said("what ran before still runs")
        assert tier(port, secure) == "small"
    with Process(file, *ENDS, *options) as process:
        assert process.end() == 2
        assert any("the server does not take" in line for line in process.errors)


def test_clients_may_have_to_show_a_certificate(tmp_path: Path) -> None:
    """With --client-ca, one that was signed by it is let in, and nobody else."""
    authority, theirs = trustme.CA(), trustme.CA()
    theirs.cert_pem.write_to_path(tmp_path / "theirs.pem")
    secure = ssl.create_default_context()
    authority.configure_trust(secure)
    options = [*certificates(tmp_path, authority), "--client-ca", str(tmp_path / "theirs.pem")]
    with running(written(tmp_path), *ENDS, *options) as (_, port):
        with pytest.raises((OSError, EOFError)):
            tier(port, secure)
        theirs.issue_cert("client@example.org").configure_cert(secure)
        assert tier(port, secure) == "small"


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """It is said, and another takes its place; the other worker answers meanwhile."""
    with running(written(tmp_path), *ENDS, "--workers", "2") as (process, port):
        first, second = process.workers()
        os.kill(first, signal.SIGKILL)
        process.said("ended by itself")
        assert tier(port) == "small"
        run(lambda: until(lambda: len(process.workers()) == 2, "the new worker"))
        assert second in process.workers()


def staffed(process: Process, many: int) -> None:
    """Wait until there are so many workers."""
    run(lambda: until(lambda: len(process.workers()) == many, f"{many} workers"))


def test_a_reload_may_want_many_more_workers(tmp_path: Path) -> None:
    """More workers than at the beginning, by far, are begun by a reload, and fewer again by the next."""
    file = Path(written(tmp_path))
    text = file.read_text(encoding="utf-8")
    with running(str(file), *ENDS) as (process, port):
        for many in (9, 1):
            file.write_text(f"[gateway]\nworkers = {many}\n{text}", encoding="utf-8")
            process.signal(signal.SIGHUP)
            process.said("reloaded")
            staffed(process, many)
        assert tier(port) == "small"


@pytest.mark.skipif(not KNOWN, reason="only Linux tells of connections")
def test_connections_on_which_nothing_moves_are_closed(tmp_path: Path) -> None:
    """Who says nothing, begins TLS or HTTP/2 and stops, or takes nothing of an answer, is cut off; a wait is not."""
    file = Path(written(tmp_path, function="held"))
    authority = trustme.CA()
    secure = ssl.create_default_context()
    authority.configure_trust(secure)
    options = certificates(tmp_path, authority)
    file.write_text(f"[gateway]\nlimits = {{ idle = 0.4 }}\n{file.read_text()}", encoding="utf-8")
    asked = raw("POST", CHAT, chat("hi"))

    async def ended(port: int, said: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    async def plain(port: int) -> None:
        async with client_of(port) as client:
            await client.send(asked)
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            for said in (b"", preface[:9], preface, preface + b"\0\0\0\4\0\0\0\0\0"):
                await ended(port, said)
            (tmp_path / "free").touch()
            assert (await client.head()).status == 200

    with running(str(file), *ENDS) as (_, port):
        run(lambda: plain(port))
    with running(str(file), *ENDS, *options) as (process, port):
        (worker,) = process.workers()
        run(lambda: ended(port, b""))
        run(lambda: ended(port, b"\x16\x03\x01\x02\0\x01"))
        assert len(list(Path(f"/proc/{worker}/fd").iterdir())) < 100
        assert tier(port, secure) == "small"


@pytest.mark.skipif(not KNOWN, reason="only Linux tells of connections")
def test_looking_at_connections_leaves_other_files_alone(tmp_path: Path) -> None:
    """A lock that this process has on a file, as a database has, is still its own; and no descriptor is left open."""
    with (tmp_path / "held").open("wb") as file, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        fcntl.lockf(file, fcntl.LOCK_EX)
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = listener.accept()
        before = len(list(Path("/proc/self/fd").iterdir()))
        assert sweep(port, 60.0, ()) == 0
        assert sweep(port, 0.0, {client.getsockname()[1]}) == 0
        assert sweep(port, 0.0, ()) == 1
        assert client.recv(1) == b""
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        client.close()
        accepted.close()
        taken = subprocess.run([sys.executable, "-c", LOCK, str(tmp_path / "held")], check=False)
        assert taken.returncode == 3


@pytest.mark.skipif(not KNOWN, reason="only Linux tells of connections")
def test_who_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    """A stream that its client does not take is ended and counted as cancelled, and its memory is let go."""
    file = Path(written(tmp_path, function="endless"))
    file.write_text(f"[gateway]\nlimits = {{ idle = 0.4 }}\n{file.read_text()}", encoding="utf-8")
    with running(str(file), *ENDS) as (_, port), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(raw("POST", CHAT, chat("hi", stream=True)))
        run(lambda: until((tmp_path / "cut").exists, "the stream to be cut"))


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    """When the supervisor is killed, nobody holds the port any more soon after."""
    with running(written(tmp_path), "--port", "0", "--drain", "2", "--workers", "2") as (process, port):
        process.signal(signal.SIGKILL)
        run(lambda: until(lambda: nobody(port), "the workers to end"))


def test_metrics_tell_of_all_workers(tmp_path: Path) -> None:
    """Whoever is asked tells what each has counted; it comes to all requests that were made."""
    with running(written(tmp_path), *ENDS, "--workers", "2") as (_, port):

        async def main() -> None:
            for _ in range(10):
                async with client_of(port) as client:
                    await client.post(CHAT, chat("hi"))
            async with client_of(port) as client:
                counted = 0
                while counted < 10:  # what others say is a moment old
                    text = (await client.get("/metrics")).body.decode()
                    lines = [line for line in text.splitlines() if line.startswith("fastcascade_requests_total")]
                    counted = sum(int(line.rsplit(" ", 1)[1]) for line in lines)
                assert counted == 10

        run(main)
