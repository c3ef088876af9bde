"""`fastcascade doctor`: each matter is found well or ill, and what is ill comes with what to do."""

import datetime as dt
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from fastcascade.cli import doctor_network, main
from fastcascade.cli.doctor_checks import Finding, examined
from fastcascade.gateway.key_store import KeyFile

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
KEY = "sk-ant-made-up-for-the-tests"
TIERS = """
[[tiers]]
name = "small"
backend = {{ kind = "anthropic", model = "m", api_key = "env:DOCTOR_KEY", base_url = "{url}" }}
price = {{ input = 1.0, output = 5.0{price} }}
[gateway]
port = 0
{gateway}
"""


class Provider(http.server.BaseHTTPRequestHandler):
    """A provider that answers, or says that the key is not good."""

    status = 200
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Say which models there are, to whoever shows the key."""
        status = self.status if self.headers["authorization"] == f"Bearer {KEY}" else 401
        listed = {"data": [{"id": each} for each in ("m-1", "m-2", "other")]}
        body = json.dumps(listed if status == 200 else {"error": {"message": f"no: {KEY}"}}).encode()
        self.send_response(status if self.path.startswith("/v1/models") else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        good = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": "ok"}],
            "usage": {"input_tokens": 3, "output_tokens": 1},
        }  # fmt: skip
        bad = {"type": "error", "error": {"type": "authentication_error", "message": f"no: {KEY}"}}
        body = json.dumps(good if self.status == 200 else bad).encode()
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""


@contextmanager
def provider(status: int = 200, secure: trustme.LeafCert | None = None) -> Iterator[str]:
    """One that listens; its URL."""
    handler = type("Handler", (Provider,), {"status": status})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if secure is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if secure else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that files name; and no proxy."""
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def written(folder: Path, url: str = "http://127.0.0.1:9", gateway: str = "", price: str = "") -> Path:
    """A file of one tier."""
    file = folder / "cascade.toml"
    file.write_text(TIERS.format(url=url, gateway=gateway, price=price and f', date = "{price}"'))
    return file


def found(file: Path, check: str, **how: Any) -> list[Finding]:
    """What is found of one matter; hosts are not reached unless that is what is looked at."""
    how = {"reach": lambda _url, _timeout: "", "now": lambda: NOW, **how}
    return [each for each in examined(file, **how) if each.check == check]


def status(file: Path, check: str, **how: Any) -> list[str]:
    """How it is."""
    return [each.status for each in found(file, check, **how)]


def test_a_good_file_is_well(tmp_path: Path) -> None:
    """Nothing must be mended, and each matter is told of."""
    file = written(tmp_path, price="2026-11-01")
    findings = examined(file, reach=lambda _url, _timeout: "", now=lambda: NOW, descriptors=lambda: 10**6)
    assert {each.status for each in findings} == {"ok"}
    assert {each.check for each in findings} == {"config", "secrets", "prices", "port", "descriptors", "reach"}


def test_all_mistakes_are_told_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its line; and what can be looked at all the same is looked at."""
    file = written(tmp_path, gateway="mode = 'observ'")
    file.write_text(f"refusal = 'accept'\n{file.read_text()}")
    assert main(["doctor", str(file)]) == 1
    told = capsys.readouterr().out
    assert "line 1: refusal: no such setting; did you mean 'refusals'?" in told
    assert "gateway.mode: no such value: 'observ'; did you mean 'observe'?" in told
    assert "2 that must be mended" in told


@pytest.mark.parametrize(
    ("day", "wanted"), [("", "warn"), ("2026-11-01", "ok"), ("2025-01-01", "warn")], ids=["none", "new", "old"]
)
def test_prices_grow_old(tmp_path: Path, day: str, wanted: str) -> None:
    """A price without a date, or with one of long ago, is to be looked up again."""
    assert status(written(tmp_path, price=day), "prices") == [wanted]


def test_a_price_that_is_not_known_is_told(tmp_path: Path) -> None:
    """A warning; where it is to bound what observing costs, more than that."""
    file = written(tmp_path)
    plain = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("price"))
    file.write_text(plain)
    assert status(file, "prices") == ["warn"]
    file.write_text(f"{plain}\nmode = 'observe'\n")
    assert status(file, "prices") == ["fail"] and status(file, "observe") == ["ok"]


def test_files_of_keys_are_for_their_owner(tmp_path: Path) -> None:
    """One that others may read, or without a key that works, is warned of; one that is missing or is none is mended."""
    file, keys = written(tmp_path, gateway="keys = 'keys.json'"), KeyFile(tmp_path / "keys.json")
    assert status(file, "keys") == ["fail"] and status(file, "account") == ["ok"]
    made, secret = keys.create("one")
    assert status(file, "keys") == ["ok"]
    keys.path.chmod(0o644)
    assert status(file, "keys") == ["warn", "ok"]
    assert not any(secret in each.said for each in found(file, "keys"))
    keys.path.chmod(0o600)
    keys.revoke(made.id)
    assert status(file, "keys", now=lambda: dt.datetime.now(dt.UTC)) == ["warn"]
    keys.path.write_text("[")
    assert status(file, "keys") == ["fail"]


def test_strangers_are_not_served_by_accident(tmp_path: Path) -> None:
    """To be reached by others without keys must be mended."""
    [finding] = found(written(tmp_path, gateway="host = '0.0.0.0'"), "callers")
    assert finding.status == "fail" and "fastcascade keys create" in finding.todo


def test_accounts_are_reached(tmp_path: Path) -> None:
    """A file of SQLite, one that is none, a folder that is not there; a Redis that listens, and one that does not."""
    (tmp_path / "bad.db").write_text("this is no database, though it is longer than a header of one " * 9)
    with socket.socket() as redis, socket.socket(socket.AF_UNIX) as unix:
        redis.bind(("127.0.0.1", 0))
        redis.listen()
        path = f"{tmp_path}/r.sock"
        unix.bind(path)
        unix.listen()
        port = redis.getsockname()[1]
        for account, wanted in (
            ("sqlite:a.db", "ok"),
            ("sqlite:bad.db", "fail"),
            ("sqlite:nowhere/a.db", "fail"),
            (f"redis://127.0.0.1:{port}/0", "ok"),
            ("redis://127.0.0.1:9/0", "fail"),
            (f"unix://{path}", "ok"),
            (f"unix://{path}x", "fail"),
        ):
            gateway = f"keys = 'k.json'\naccount = '{account}'"
            assert status(written(tmp_path, gateway=gateway), "account") == [wanted], account


def test_stores_of_reviews_are_reached(tmp_path: Path) -> None:
    """A file that is no database is told of before a person's answer is lost in it."""
    file = written(tmp_path)
    store = f"sqlite:{tmp_path}/r.db"
    file.write_text(f'{file.read_text()}[[fallbacks]]\nkind = "review"\nstore = "{store}"\n')
    assert status(file, "reviews") == ["ok"]
    (tmp_path / "r.db").write_text("this is no database, though it is longer than a header of one " * 9)
    assert status(file, "reviews") == ["fail"]


def test_certificates_end(tmp_path: Path) -> None:
    """One with time left is good; one that soon ends, or has, is told of; so is a key that is another's."""
    authority = trustme.CA()
    day = dt.timedelta(days=1)
    now = dt.datetime.now(dt.UTC)

    def issued(name: str, after: dt.timedelta) -> Path:
        leaf = authority.issue_cert("localhost", not_before=now - 99 * day, not_after=now + after)
        leaf.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        return tmp_path / f"{name}.pem"

    for name, after, wanted in (("good", 60 * day, "ok"), ("soon", 3 * day, "warn"), ("old", -day, "fail")):
        issued(name, after)
        gateway = f"tls = {{ cert = '{name}.pem', key = '{name}.key' }}"
        assert status(written(tmp_path, gateway=gateway), "certificate", now=lambda: now) == [wanted], name
    gateway = "tls = { cert = 'good.pem', key = 'soon.key' }"
    [finding] = found(written(tmp_path, gateway=gateway), "certificate")
    assert finding.status == "fail" and "the key is not that of the certificate" in finding.said


def test_a_port_that_is_taken_is_a_warning(tmp_path: Path) -> None:
    """It may be this very gateway; an address that is not ours must be mended."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        file = written(tmp_path)
        file.write_text(file.read_text().replace("port = 0", f"port = {other.getsockname()[1]}"))
        assert status(file, "port") == ["warn"]
    away = written(tmp_path, gateway="host = '192.0.2.1'\nallow_anyone = true")
    assert status(away, "port") == ["fail"]


def test_descriptors_must_suffice(tmp_path: Path) -> None:
    """Fewer than a worker may need are warned of, with the number."""
    [finding] = found(written(tmp_path), "descriptors", descriptors=lambda: 1_024)
    assert finding.status == "warn" and "ulimit -n 10448" in finding.todo
    assert doctor_network.descriptors() > 0


@pytest.mark.parametrize(("listens", "wanted"), [(True, "ok"), (False, "fail")])
def test_hosts_are_reached(tmp_path: Path, listens: bool, wanted: str) -> None:
    """A host that listens is reached though nothing is asked of it; one that does not must be looked into."""
    with provider() as url:
        address = url if listens else "http://127.0.0.1:9"
        [finding] = found(written(tmp_path, address), "reach", reach=doctor_network.reach)
    assert finding.status == wanted and KEY not in finding.said


def test_a_proxy_is_what_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy the host itself need have no address here, unless it is one that goes past the proxy."""
    with provider() as url:
        monkeypatch.setenv("https_proxy", url)
        assert doctor_network.reach("https://nowhere.invalid", 5) == ""
        monkeypatch.setenv("no_proxy", "nowhere.invalid")
        assert doctor_network.reach("https://nowhere.invalid", 5) == "its name has no address"


def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said why; where its authority is trusted the host is reached."""
    authority = trustme.CA()
    with provider(secure=authority.issue_cert("localhost")) as url:
        assert "not trusted" in doctor_network.reach(url, 5)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert doctor_network.reach(url, 5) == ""
        told = doctor_network.date(url, 5)
    assert told is not None and abs((dt.datetime.now(dt.UTC) - told).total_seconds()) < 60


@pytest.mark.parametrize(("code", "wanted"), [(200, "ok"), (401, "fail")])
def test_online_each_tier_is_asked(tmp_path: Path, code: int, wanted: str) -> None:
    """One question to each; what went wrong is said in our words, with no word of the key."""
    with provider(code) as url:
        findings = examined(written(tmp_path, url), online=True)
    [answer] = [each for each in findings if each.check == "answers"]
    assert answer.status == wanted and not any(KEY in each.said for each in findings)
    assert [each.status for each in findings if each.check == "clock"] == ["ok"]


def test_clocks_are_compared(tmp_path: Path) -> None:
    """A clock that is minutes off must be set; one that was set meanwhile is warned of."""
    how: dict[str, Any] = {"online": True, "ask": lambda backends, _timeout: dict.fromkeys(backends, "")}
    late = lambda _url, _timeout: NOW + dt.timedelta(minutes=5)  # noqa: E731 - a stand-in
    [finding] = found(written(tmp_path), "clock", date=late, **how)
    assert finding.status == "fail" and "300 s" in finding.said
    assert status(written(tmp_path), "clock", date=lambda _url, _timeout: None, drift=lambda: 9.0, **how) == ["warn"]


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Observing into a folder that is not there must be mended."""
    gateway = "mode = 'observe'\nobserve = { log = 'nowhere/o.jsonl' }"
    assert status(written(tmp_path, gateway=gateway), "observe") == ["fail"]


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, whose verdict is that of the exit code; a file that is not there is told in it too."""
    file = written(tmp_path, price="2026-11-01")
    with provider() as url:
        file.write_text(file.read_text().replace("http://127.0.0.1:9", url))
        code = main(["doctor", str(file), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["ok"], said["schema"]) == (0, True, 1)
    assert all(set(each) == {"check", "status", "said", "todo"} for each in said["findings"])
    file.unlink()
    assert main(["doctor", str(file), "--json"]) == 1
    assert "cannot be read" in json.loads(capsys.readouterr().out)["findings"][0]["said"]
