"""The console as `fastcascade serve` has it: two workers, real connections, TLS, HTTP/2, and when it is not served."""

import asyncio
import ssl
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import trustme

from consoles import CHEAP
from fastcascade import Cascade, Tier
from fastcascade.console.headers import CLOSED
from fastcascade.console.people_file import PeopleFile
from fastcascade.console.served import console_of
from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Settings, Tls
from fastcascade.gateway.settings_seen import ConsoleSettings, DecisionsSettings
from gateways import Client, Said, client_of, running

FILE = """
[[tiers]]
name = "small"
backend = { kind = "direct", model = "m", base_url = "http://127.0.0.1:1", api_key = "literal:k", wire = "anthropic" }
price = { input = 1.0, output = 5.0 }

[gateway.decisions]
file = "kept/decisions.db"

[gateway.console]
"""
ME = "/console/api/me"


def written(folder: Path) -> tuple[str, str]:
    """A file to be served, with one person who may see the console; its path, and the password."""
    (folder / "kept").mkdir()
    (folder / "cascade.toml").write_text(FILE, encoding="utf-8")
    return str(folder / "cascade.toml"), PeopleFile(folder / "console.json", cost=CHEAP).add("ada")[1]


def form(secret: str) -> bytes:
    """The form filled in."""
    return urlencode({"name": "ada", "password": secret}).encode()


async def fresh(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Said:
    """A request on a connection of its own, which any worker may take."""
    async with client_of(port) as client:
        return await client.ask(method, path, body, headers)


async def head_alone(client: Client, path: str, headers: Mapping[str, str]) -> tuple[Said, bytes]:
    """HEAD, and then what comes on the same connection: the body of no other answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"host": "localhost", **headers}.items())
    await client.send(f"HEAD {path} HTTP/1.1\r\n{lines}\r\n".encode())
    said = await client.head()
    return said, (await client.ask("GET", "/healthz")).body


def test_two_workers_serve_one_console(tmp_path: Path) -> None:
    """Logged in at one worker one is so at the other; changes are taken with the token, and logging out ends it."""
    file, secret = written(tmp_path)

    async def main(port: int) -> None:
        assert (await fresh(port, "GET", "/console/", {})).headers["location"] == "/console/login"
        assert b"<form" in (await fresh(port, "GET", "/console/login", {})).body
        said = await fresh(port, "POST", "/console/login", {"origin": "http://localhost"}, form(secret))
        assert (said.status, said.headers["location"]) == (303, "/console/try")
        cookie = {"Cookie": said.headers["set-cookie"].partition(";")[0]}
        answers = [await fresh(port, "GET", ME, cookie) for _ in range(20)]
        assert {each.status for each in answers} == {200}
        csrf = answers[0].json()["csrf"]
        for name, value in CLOSED:
            assert answers[0].headers[name] == value
        for path in ("/console/api/logout", ME):
            assert (await fresh(port, "POST", path, cookie)).status == 403
        said = await fresh(port, "POST", "/console/api/logout", {**cookie, "X-CSRF-Token": csrf}, b"{}")
        assert said.status == 200
        again = await fresh(port, "POST", "/console/login", {}, form("wrong"))
        assert (again.status, again.headers["cache-control"]) == (401, "no-store")

    with running(file, "--port", "0", "--workers", "2") as (_process, port):
        asyncio.run(main(port))
    assert stat.S_IMODE((tmp_path / "kept" / "console.db").stat().st_mode) == 0o600


def test_hostile_requests_on_the_wire(tmp_path: Path) -> None:
    """Paths that climb, huge cookies, odd hosts, HEAD and bodies too large are answered, and nothing is lost."""
    file, secret = written(tmp_path)

    async def main(port: int) -> None:
        async with client_of(port) as client:
            said = await client.ask("POST", "/console/login", form(secret))
            cookie = {"cookie": said.headers["set-cookie"].partition(";")[0]}
            for path in (
                "/console/static/../console.py",
                "/console/static/%2e%2e/console.py",
                "/console/static/%2e%2e%2f%2e%2e%2fpy.typed",
                "/console/static//style.css",
                "/console/static/style.css%00",
                "/console/%74ry/..",
                "/console/nothing",
            ):
                said = await client.ask("GET", path, b"", cookie)
                assert said.status == 404, path
                assert said.headers["x-content-type-options"] == "nosniff"
            said = await client.ask("GET", ME, b"", {"cookie": f"{cookie['cookie']}; a={'x' * 30_000}"})
            assert said.status == 200
            assert (await client.ask("GET", ME, b"", {"cookie": "fastcascade_console=" + "A" * 30_000})).status == 401
            assert (await client.ask("GET", ME, b"", {**cookie, "host": "evil.example"})).status == 403
            said, after = await head_alone(client, "/console/static/style.css", {})
            assert (said.status, after) == (200, b"ok\n")
            whole = await client.get("/console/static/style.css")
            assert said.headers["content-length"] == str(len(whole.body))
            kept = await client.ask("GET", "/console/static/style.css", b"", {"if-none-match": whole.headers["etag"]})
            assert (kept.status, kept.body) == (304, b"")
            csrf = (await client.ask("GET", ME, b"", cookie)).json()["csrf"]
            large = {**cookie, "x-csrf-token": csrf}
        assert (await fresh(port, "POST", "/console/api/logout", large, b" " * 1_100_000)).status == 413
        assert (await fresh(port, "GET", ME, cookie)).status == 200

    with running(file, "--port", "0") as (_process, port):
        asyncio.run(main(port))


@pytest.mark.parametrize("two", [False, True])
def test_over_tls_browsers_log_in(tmp_path: Path, two: bool) -> None:
    """Over TLS, by HTTP/1.1 and by HTTP/2 that has no host header, a login of our own page is taken, another's not."""
    file, secret = written(tmp_path)
    authority, secure = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(secure)
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))

    async def main(port: int) -> None:
        ours = f"https://localhost:{port}"
        async with httpx.AsyncClient(verify=secure, http2=two, base_url=ours, trust_env=False) as client:
            for origin, site, status in (
                ("https://evil.example", "cross-site", 403),
                ("https://evil.example", "", 403),
                (f"http://localhost:{port + 1}", "same-site", 403),
                (ours, "same-origin", 303),
            ):
                sent = {"origin": origin, **({"sec-fetch-site": site} if site else {})}
                said = await client.post("/console/login", content=form(secret), headers=sent)
                assert (said.status_code, said.http_version) == (status, "HTTP/2" if two else "HTTP/1.1")
            assert said.headers["set-cookie"].startswith("__Host-fastcascade=")
            assert "max-age" in said.headers["strict-transport-security"]
            said = await client.get(ME)
            assert said.json()["name"] == "ada"
            sent = {"x-csrf-token": said.json()["csrf"], "origin": ours, "sec-fetch-site": "same-origin"}
            assert (await client.post("/console/api/logout", content=b"{}", headers=sent)).status_code == 200

    with running(file, "--port", "0", *options) as (_process, port):
        asyncio.run(main(port))


# When it is not served.


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0"}, False),  # noqa: S104 - what is refused
        ({"host": "192.0.2.1"}, False),
        ({"host": "192.0.2.1", "tls": Tls(Path("cert.pem"), Path("key.pem"))}, True),
        ({"host": "192.0.2.1", "console": ConsoleSettings(allow_plain=True)}, True),
    ],
)
def test_it_is_not_served_in_the_clear(tmp_path: Path, settings: dict[str, object], served: bool) -> None:
    """It is served on this machine, with TLS, or where the operator says that a proxy has TLS; else nothing begins."""
    PeopleFile(tmp_path / "console.json", cost=CHEAP).add("ada")
    told = replace(Settings(console=ConsoleSettings()), **settings)  # type: ignore[arg-type] # a table of settings
    if served:
        console = console_of(told, tmp_path, None, {}, str)
        assert console.sessions.path == tmp_path / "console.db"
        asyncio.run(console.aclose())
    else:
        with pytest.raises(ConfigError, match="allow_plain = true under"):
            console_of(told, tmp_path, None, {}, str)


def test_a_gateway_without_people_does_not_begin(tmp_path: Path) -> None:
    """It says how to let somebody in, where the file of people is to lie; and sessions lie where decisions do."""
    settings = Settings(
        console=ConsoleSettings(people=Path("who.json")), decisions=DecisionsSettings(Path("kept/d.db"))
    )
    with pytest.raises(ConfigError, match=r"fastcascade console add NAME --file .*who\.json"):
        console_of(settings, tmp_path, None, {}, str)
    PeopleFile(tmp_path / "who.json", cost=CHEAP).add("ada")
    console = console_of(settings, tmp_path, None, {}, str)
    assert console.sessions.path == tmp_path / "kept" / "console.db"
    asyncio.run(console.aclose())
    with pytest.raises(ConfigError, match="there is no console"):
        console_of(Settings(), tmp_path, None, {}, str)


def test_cascades_have_the_names_that_their_decisions_bear(tmp_path: Path) -> None:
    """A `name` in the file is what pages search and replay by; of two alike each is as it is asked."""
    PeopleFile(tmp_path / "console.json", cost=CHEAP).add("ada")
    shop, plain = (Cascade(Tier(lambda request: "Yes."), name=name) for name in ("shop", ""))
    for cascades, names in (
        ({"cascade": shop}, ["shop"]),
        ({"cascade": plain}, ["cascade"]),
        ({"shop": shop, "other": plain}, ["shop", "other"]),
        ({"one": shop, "two": shop}, ["one", "two"]),
    ):
        console = console_of(Settings(console=ConsoleSettings()), tmp_path, None, cascades, str)
        assert list(console.sight.cascades) == names
        asyncio.run(console.aclose())
