"""The console against those who would get in: sessions, forgery, other origins, paths, floods of tries."""

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from consoles import Site, Visitor, told
from fastcascade.console import sessions
from fastcascade.console.headers import CLOSED
from fastcascade.console.sessions import csrf_of
from fastcascade.wire.endpoint import Response

ECHO = "/console/api/echo"
ME = "/console/api/me"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of two people, closed at the end."""
    made = Site(tmp_path)
    yield made
    made.close()


def error(response: Response) -> str:
    """What an API call was refused with."""
    return str(json.loads(response.body or b"{}")["error"])


# Sessions.


def test_a_login_makes_a_session_of_its_own(site: Site) -> None:
    """A token that was known before the login is none after it: each login makes another, and the old one is over."""

    async def main() -> None:
        mallory, ada = site.visitor(), site.visitor()
        await mallory.login("rex")
        ada.cookie = mallory.cookie  # planted
        assert (await ada.login()).status == 303
        assert ada.cookie != mallory.cookie
        assert json.loads((await ada.get(ME)).body or b"")["name"] == "ada"
        assert (await mallory.get(ME)).status == 401
        before = ada.cookie
        await ada.login()
        assert ada.cookie != before
        assert (await ada.get(ME, cookie=before)).status == 401

    asyncio.run(main())


def test_no_other_cookie_opens(site: Site) -> None:
    """A forged, changed, cut, doubled or huge cookie, one of another name, and one with the file's digest are none."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        name, _, token = ada.cookie.partition("=")
        other = "A" if token[0] != "A" else "B"
        for cookie in (
            f"{name}=",
            f"{name}={other}{token[1:]}",
            f"{name}={token[:-1]}",
            f"{name}={token}A",
            f"{name}={token}; {name}={'A' * 43}",
            f"{name}={'A' * 60_000}",
            f"{name}={token}%20",
            f'{name}="{token}"',
            f"{name.upper()}={token}",
            f"__Host-fastcascade={token}",
            f"session={token}",
            "; ".join(f"a{n}=b" for n in range(5_000)),
            "=" * 1_000 + ";,;," * 1_000,
        ):
            assert (await ada.get(ME, cookie=cookie)).status == 401, cookie[:80]
        for cookie in (f"a=b; {name}={token}", f"{name}={token}, c=d", f"{name}={token};{name}={token}"):
            assert (await ada.get(ME, cookie=cookie)).status == 200

    asyncio.run(main())


def test_what_is_kept_opens_nothing(site: Site) -> None:
    """The files hold neither tokens nor passwords, and are their owner's alone."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        token, link = ada.cookie.partition("=")[2], ada.console.sessions.link("ada")
        files = [each for each in site.folder.iterdir() if each.is_file()]
        assert {each.name for each in files} >= {"console.json", "console.db"}
        for each in files:
            assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
            for secret in (token, link, ada.csrf, *site.secrets.values()):
                assert secret.encode() not in each.read_bytes(), each

    asyncio.run(main())


def test_a_session_ends(site: Site) -> None:
    """It ends by logging out, after an hour without a request, and after its hours however much is asked."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        cookie = ada.cookie
        response = await ada.ask("POST", "/console/api/logout")
        assert (response.status, ada.cookie) == (200, "")
        assert "Max-Age=0" in told(response, "set-cookie")
        assert (await ada.get(ME, cookie=cookie)).status == 401
        await ada.login()
        site.clock.advance(3_599)
        assert (await ada.get(ME)).status == 200
        site.clock.advance(3_600)
        assert (await ada.get(ME)).status == 401
        await ada.login()
        for _ in range(23):
            site.clock.advance(1_800)
            assert (await ada.get(ME)).status == 200
        site.clock.advance(1_800)
        assert (await ada.get(ME)).status == 401

    asyncio.run(main())


def test_sessions_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person has twenty sessions at most, and all have a thousand: the one in use longest ago leaves."""
    monkeypatch.setattr(sessions, "MOST", 25)
    console = site.console()
    begun: dict[str, list[str]] = {}
    for name, many in (("rex", 5), ("ada", 21)):
        begun[name] = []
        for _ in range(many):
            site.clock.advance(2)
            begun[name].append(console.sessions.begin(name, site.file.find(name).id))
    assert [console.sessions.find(each) is not None for each in begun["ada"]] == [False] + 20 * [True]
    assert all(console.sessions.find(each) for each in begun["rex"])
    for _ in range(6):
        site.clock.advance(2)
        console.sessions.begin("rex", site.file.find("rex").id)
    found = [each for name in begun for each in begun[name] if console.sessions.find(each)]
    assert len(found) == 25 - 6


@pytest.mark.parametrize("change", ["remove", "password", "role"])
def test_whoever_changes_is_logged_out(site: Site, change: str) -> None:
    """A person who is removed, or has another password or role, has no session left, and others have theirs."""

    async def main() -> None:
        ada, rex = site.visitor(), site.visitor()
        await ada.login()
        await rex.login("rex")
        if change == "remove":
            site.file.remove("ada")
        elif change == "password":
            site.secrets["ada"] = site.file.set_password("ada")[1]
        else:
            site.file.set_role("ada", "reviewer")
        site.clock.advance(1)
        assert (await ada.get(ME)).status == 401
        assert (await ada.get("/console/try")).status == 303
        assert (await rex.get(ME)).status == 200
        assert (await ada.login()).status == (401 if change == "remove" else 303)

    asyncio.run(main())


def test_workers_know_the_same_sessions(site: Site) -> None:
    """What one worker let in the other knows, and a new one after a restart; logged out in one is so in all in 1 s."""

    async def main() -> None:
        one, two = site.console(), site.console()
        ada = site.visitor(one)
        await ada.login()
        ada.console = two
        assert (await ada.get(ME)).status == 200
        cookie = ada.cookie
        await ada.ask("POST", "/console/api/logout")
        site.clock.advance(1)
        ada.console = one
        assert (await ada.get(ME, cookie=cookie)).status == 401
        await ada.login()
        await one.aclose()
        ada.console = site.console()
        assert (await ada.get(ME)).status == 200

    asyncio.run(main())


def test_a_file_of_sessions_that_is_away_says_nothing_of_itself(site: Site) -> None:
    """Where sessions cannot be looked up, nobody is let in, and strangers do not read where the file lies."""

    async def main() -> None:
        ada = site.visitor()
        (site.folder / "console.db").write_bytes(b"this is no database at all" * 100)
        response = await ada.login()
        assert response.status == 503
        assert str(site.folder).encode() not in (response.body or b"")

    asyncio.run(main())


# Forgery.


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_changes_take_the_token(site: Site, method: str) -> None:
    """A change without the session's own token, or with another session's, is refused before its path is looked at."""

    async def main() -> None:
        ada, rex = site.visitor(), site.visitor()
        await ada.login()
        await rex.login("rex")
        for shown in (None, "", "x", rex.csrf, ada.csrf[:-1], ada.csrf + "0", ada.cookie, "é"):
            for path in (ECHO, "/console/api/logout", "/console/api/nothing"):
                response = await ada.ask(method, path, b"{}", {"x-csrf-token": shown})
                assert (response.status, "x-csrf-token" in error(response)) == (403, True)
        assert ada.csrf == csrf_of(ada.cookie.partition("=")[2])
        assert (await ada.ask("POST", ECHO, {"a": 1})).status == 200

    asyncio.run(main())


# Who may do what.


def test_a_reviewer_sees_the_desk_alone(site: Site) -> None:
    """A reviewer is refused what is for operators, and led from their pages to the desk."""

    async def main() -> None:
        rex = site.visitor()
        response = await rex.login("rex")
        assert told(response, "location") == "/console/reviews"
        form = urlencode({"name": "rex", "password": site.secrets["rex"]}).encode()
        response = await rex.ask("POST", "/console/login?next=live", form)
        assert told(response, "location") == "/console/reviews"
        rex.csrf = csrf_of(rex.cookie.partition("=")[2])
        assert (await rex.get(ECHO)).status == 403
        assert (await rex.ask("POST", ECHO, b"{}")).status == 403
        assert (await rex.get("/console/api/fails/bug")).status == 403
        assert (await rex.get("/console/api/desk")).status == 200
        assert (await rex.ask("POST", "/console/api/desk/one/claim", b"{}")).status == 200
        for page in ("", "try", "live", "traces", "calibration"):
            assert told(await rex.get(f"/console/{page}"), "location") == "/console/reviews"

    asyncio.run(main())


def test_without_a_session_there_is_nothing(site: Site) -> None:
    """Nobody learns which calls there are: all are a 401; pages lead to the login, which leads back to ours alone."""

    async def main() -> None:
        visitor = site.visitor()
        for path in (ME, ECHO, "/console/api/", "/console/api/nothing", "/console/api/desk/x"):
            for method in ("GET", "POST", "DELETE", "TRACE"):
                assert (await visitor.ask(method, path)).status == 401
        assert told(await visitor.get("/console/live"), "location") == "/console/login?next=live"
        for after, place in (
            ("live", "/console/live"),
            ("//evil.example", "/console/try"),
            ("https://evil.example", "/console/try"),
            ("%0d%0aset-cookie:%20a=b", "/console/try"),
            ("../../v1", "/console/try"),
        ):
            form = urlencode({"name": "ada", "password": site.secrets["ada"]}).encode()
            response = await visitor.ask("POST", f"/console/login?next={after}", form)
            assert told(response, "location") == place
            assert all("\r" not in value and "\n" not in value for _, value in response.headers)

    asyncio.run(main())


PATHS = [
    "/console/static/../console.py",
    "/console/static/%2e%2e/console.py",
    "/console/static/..%2fconsole.py",
    "/console/static//etc/passwd",
    "/console/static/",
    "/console/static/login.html",
    "/console/static/shell.html",
    "/console/static/style.css/",
    "/console/static/style.css\x00.js",
    "/console/static/STYLE.CSS",
    "/console//try",
    "/console/try/",
    "/console/../v1/models",
    "/console/login/",
    "/console/shell",
    "/console/try\r\nset-cookie: a=b",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_lead_nowhere_else(site: Site, path: str) -> None:
    """What is no name of ours is a 404, whatever is in it, and nothing of it is said back."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        response = await ada.get(path)
        assert response.status == 404
        assert path.rpartition("/")[2].encode() not in (response.body or b"") or path.endswith("/")

    asyncio.run(main())


def test_every_answer_is_closed(site: Site) -> None:
    """Whatever is answered has the headers that keep it in its place, each once; only files of the package are kept."""

    async def main() -> None:
        visitor, ada = site.visitor(), site.visitor()
        await ada.login()
        answers = [
            await visitor.get("/console/"),
            await visitor.get("/console/login"),
            await visitor.ask("DELETE", "/console/login"),
            await visitor.get(ME),
            await visitor.login("ada", "wrong"),
            await visitor.login("ada", headers={"sec-fetch-site": "cross-site"}),
            await ada.get("/console/nothing"),
            await ada.get("/console/reviews"),
            await ada.get(ECHO),
            await ada.get("/console/api/fails/bug"),
            await ada.get("/console/api/picture"),
            await ada.get("/console/static/style.css"),
            await ada.ask("HEAD", "/console/reviews"),
        ]
        assert {each.status for each in answers} == {200, 303, 401, 403, 404, 405, 500}
        for each in answers:
            for name, value in CLOSED:
                assert told(each, name) == value
            assert told(each, "referrer-policy") in ("no-referrer", "same-origin")
            assert told(each, "cache-control") == ("no-cache" if told(each, "etag") else "no-store")
        assert "unsafe" not in dict(CLOSED)["content-security-policy"]

    asyncio.run(main())


def test_a_head_is_a_get_without_its_body(site: Site) -> None:
    """HEAD says what GET says, how long the body would be among it, and sends none; it uses up no link."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        for path in ("/console/reviews", ME, "/console/static/style.css", "/console/login"):
            whole, head = await ada.get(path), await ada.ask("HEAD", path)
            assert (head.status, head.body) == (200, b"")
            assert told(head, "content-length") == str(len(whole.body or b""))
        link = ada.console.sessions.link("rex")
        assert (await ada.ask("HEAD", f"/console/login?once={link}")).status == 200
        assert (await Visitor(site, ada.console).get(f"/console/login?once={link}")).status == 303

    asyncio.run(main())
