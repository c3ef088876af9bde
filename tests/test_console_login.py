"""Logging in and calling: tries are counted, time tells no names, links are good for once, bad bodies are told of."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from consoles import CALLS, CHEAP, Site, Visitor, told
from fastcascade.console.asked import Call, Refusal
from fastcascade.console.console_calls import Calls, json_of
from fastcascade.console.console_login import address_of
from fastcascade.console.people import People
from fastcascade.console.people_record import PersonRecord
from fastcascade.errors import ConfigError

ECHO = "/console/api/echo"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of two people, closed at the end."""
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_flood_from_one_address_is_turned_away(site: Site) -> None:
    """After ten wrong tries one address waits, whatever it sends and from whichever port; another does not."""

    async def main() -> None:
        mallory, ada = site.visitor(), site.visitor(peer="198.51.100.9:1")
        for n in range(10):
            mallory.peer = f"192.0.2.7:{n + 1}"
            assert (await mallory.login(f"name{n}", "wrong")).status == 401
        response = await mallory.login("ada")
        assert response.status == 429
        assert int(told(response, "retry-after")) == 30
        assert b"try again in 30 s" in (response.body or b"")
        assert (await mallory.get("/console/login?once=x")).status == 429
        assert (await ada.login()).status == 303
        site.clock.advance(30)
        assert (await mallory.login()).status == 303

    asyncio.run(main())


def test_a_flood_for_one_name_is_turned_away(site: Site) -> None:
    """After twenty wrong tries for one name from anywhere, it waits; others log in, and its sessions go on."""

    async def main() -> None:
        ada = site.visitor(peer="198.51.100.9:1")
        await ada.login()
        for n in range(20):
            assert (await site.visitor(peer=f"203.0.113.{n}:1").login("ada", "wrong")).status == 401
        for _ in range(12):  # turned away, they take nothing of what the address has
            assert (await site.visitor(peer="203.0.113.99:1").login()).status == 429
        assert (await site.visitor(peer="203.0.113.99:1").login("rex")).status == 303
        assert (await ada.get("/console/api/me")).status == 200

    asyncio.run(main())


def test_a_flood_from_everywhere_is_turned_away(site: Site) -> None:
    """Sixty wrong tries in a minute are all there are, however many addresses and names they come by."""

    async def main() -> None:
        tries = (site.visitor(peer=f"[2001:db8:{n:x}::1]:1").login(f"name{n}", "wrong") for n in range(61))
        statuses = [each.status for each in await asyncio.gather(*tries)]
        assert (statuses.count(401), statuses.count(429)) == (60, 1)

    asyncio.run(main())


def test_right_tries_are_not_counted(site: Site) -> None:
    """Whoever knows their password logs in as often as they like."""

    async def main() -> None:
        ada = site.visitor()
        assert {(await ada.login()).status for _ in range(30)} == {303}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1:1", "192.0.2.1:2", True),
        ("192.0.2.1:1", "192.0.2.2:1", False),
        ("[2001:db8::1]:1", "[2001:db8::ffff:2]:2", True),
        ("[2001:db8::1]:1", "2001:db8::3", True),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", False),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1:5", True),
        ("", "unix:", False),
    ],
)
def test_tries_are_counted_by_subscriber(one: str, other: str, same: bool) -> None:
    """An address counts without its port, and of IPv6 the /64 that one subscriber has."""
    assert (address_of(one) == address_of(other)) is same


def test_unknown_names_are_hashed_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not known is checked by the same steps, with a hash of the same cost."""
    hashed: list[tuple[object, int]] = []
    fits = PersonRecord.fits

    def counted(self: PersonRecord, password: str) -> bool:
        hashed.append((self.cost, len(self.salt)))
        return fits(self, password)

    monkeypatch.setattr(PersonRecord, "fits", counted)
    people = People(site.file)
    for name, password in (("ada", "wrong"), ("nobody", "wrong"), ("", ""), ("ada", site.secrets["rex"])):
        assert people.check(name, password) is None
    assert hashed == [(CHEAP, 16)] * 4
    found = people.check("ada", site.secrets["ada"])
    assert found is not None
    assert found.name == "ada"


def test_the_page_and_the_log_tell_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong name and a wrong password are told in the same words; nothing of what was typed is shown or logged."""

    async def main() -> tuple[bytes, bytes]:
        visitor = site.visitor()
        one = await visitor.login("ada", "some<b>password")
        other = await visitor.login("typed<b>password", "some<b>password")
        return one.body or b"", other.body or b""

    with caplog.at_level(logging.DEBUG):
        one, other = asyncio.run(main())
    assert one == other
    assert b'role="alert"' in one
    assert b"password</" not in one.lower().replace(b"password</label>", b"")
    assert "some" not in caplog.text
    assert "typed" not in caplog.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 401),
        (b"name=ada", 401),
        (b"name=ada&password=", 401),
        (b"name=%ff&password=x", 400),
        (b"\xff=1", 400),
        (b"&".join(b"a%d=1" % n for n in range(20)), 400),
        (b"name=ada&password=" + b"x" * 300, 401),
        (b"name=ada&password=" + b"x" * 20_000, 413),
        (b'{"name": "ada"}', 401),
        (b"name=ada%00&password=%00", 401),
    ],
)
def test_bad_forms_are_told(site: Site, body: bytes, status: int) -> None:
    """A form that is not whole, cannot be read or is too large is answered on the page, and lets nobody in."""

    async def main() -> None:
        response = await site.visitor().ask("POST", "/console/login", body)
        assert response.status == status
        assert told(response, "content-type").startswith("text/html")
        assert not told(response, "set-cookie")

    asyncio.run(main())


# Links.


def test_a_link_is_good_for_once(site: Site) -> None:
    """It logs its person in, in any worker, leads on, and then is used; another person's or a made-up one is none."""

    async def main() -> None:
        one, two = site.console(), site.console()
        link = one.sessions.link("rex")
        visitor = Visitor(site, two, headers={"sec-fetch-site": "none"})
        response = await visitor.get(f"/console/login?once={link}")
        assert (response.status, told(response, "location")) == (303, "/console/reviews")
        assert json.loads((await visitor.get("/console/api/me")).body or b"")["name"] == "rex"
        for token in (link, link[:-1], "", "x" * 5_000, "%00"):
            again = Visitor(site, one, headers={})
            assert (await again.get(f"/console/login?once={token}")).status == 401
            assert not again.cookie

    asyncio.run(main())


@pytest.mark.parametrize("change", ["late", "removed", "password", "crossed"])
def test_a_link_ends(site: Site, change: str) -> None:
    """It is over after its time, with its person, and with another password; a page of another site cannot use it."""

    async def main() -> None:
        console = site.console()
        link = console.sessions.link("ada", 30)
        if change == "late":
            site.clock.advance(30)
        elif change == "removed":
            site.file.remove("ada")
            console.people.look()
        elif change == "password":
            site.file.set_password("ada")
            console.people.look()
        said = "cross-site" if change == "crossed" else "none"
        visitor = Visitor(site, console, headers={"sec-fetch-site": said})
        response = await visitor.get(f"/console/login?once={link}")
        assert (response.status, visitor.cookie) == (403 if change == "crossed" else 401, "")

    asyncio.run(main())


def test_a_link_is_for_somebody_and_short(site: Site) -> None:
    """A link for nobody, or for longer than ten minutes, is not made."""
    sessions = site.console().sessions
    for name, seconds in (("nobody", 60.0), ("ada", 601.0), ("ada", 0.0), ("ada", float("nan"))):
        with pytest.raises(ConfigError):
            sessions.link(name, seconds)


# Calls.


def test_calls_answer_in_json(site: Site) -> None:
    """A call gets its query, its body, who asks and the rest of its path; figures that are none are null."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        response = await ada.ask("POST", f"{ECHO}?a=1&a=2&b=", {"x": [1]})
        said = {"body": {"x": [1]}, "query": {"a": "2", "b": ""}, "name": "ada", "rest": ""}
        assert (response.status, json.loads(response.body or b"")) == (200, said)
        response = await ada.ask("POST", "/console/api/desk/some/one")
        assert json.loads(response.body or b"")["rest"] == "some/one"
        assert json.loads((await ada.get("/console/api/nan")).body or b"") == {"mean": None, "n": [1.5, None]}
        response = await ada.get("/console/api/picture")
        assert (told(response, "content-type"), response.body) == ("image/svg+xml", b"<svg/>")
        assert (await ada.get("/console/api/desk/x")).status == 405

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nul",
        b'{"a": NaN}',
        b"[" * 100_000,
        b'"\xff"',
        b"1" * 10_000,
        b'{"a": 1}x',
        b"Infinity",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_no_json_is_refused(site: Site, body: bytes) -> None:
    """It is a 400 that says what is wrong, and holds nothing of the body."""
    with pytest.raises(Refusal) as refusal:
        json_of(body)
    assert refusal.value.status == 400

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        assert (await ada.ask("POST", ECHO, body)).status == 400

    asyncio.run(main())


def test_calls_are_refused_as_they_should_be(site: Site) -> None:
    """Too large is 413, unknown 404, another method 405 with those that there are, a query too long 400."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        assert (await ada.ask("POST", ECHO, b" " * (1024 * 1024 + 1))).status == 413
        assert (await ada.ask("POST", ECHO, b" " * (1024 * 1024 - 2) + b"{}")).status == 200
        assert (await ada.get("/console/api/nothing")).status == 404
        assert (await ada.get("/console/api/desk/")).status == 404
        response = await ada.ask("DELETE", ECHO)
        assert (response.status, told(response, "allow")) == (405, "GET, HEAD, POST")
        assert (await ada.ask("POST", "/console/api/me")).status == 405
        assert (await ada.get("/console/api/logout")).status == 405
        assert told(await ada.ask("POST", "/console/try"), "allow") == "GET, HEAD"
        assert (await ada.get(f"{ECHO}?{'&'.join('a=1' for _ in range(200))}")).status == 400
        assert (await ada.get(f"{ECHO}?a=%ff")).status == 400

    asyncio.run(main())


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("bug", 500, "something went wrong here"),
        ("config", 400, "a threshold is at most 1"),
        ("request", 400, "there is no such decision"),
        ("store", 503, "reviews.db: it is locked"),
        ("refusal", 409, "somebody else has it"),
    ],
)
def test_what_a_call_raises_is_told(
    site: Site, caplog: pytest.LogCaptureFixture, what: str, status: int, words: str
) -> None:
    """Our own errors are told in their words; of a mistake in the code neither person nor log reads any."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        response = await ada.get(f"/console/api/fails/{what}")
        assert (response.status, json.loads(response.body or b"")) == (status, {"error": words})

    asyncio.run(main())
    assert "typed" not in caplog.text
    assert ("ValueError" in caplog.text) is (what == "bug")


def test_two_calls_of_one_name_are_a_mistake() -> None:
    """A path that two modules answer is found when the console is built."""
    with pytest.raises(ConfigError, match="two calls for GET /console/api/echo"):
        Calls([CALLS, {("GET", ECHO): Call(CALLS["GET", ECHO].run)}])


def test_what_calls_have_kept_is_closed(site: Site) -> None:
    """The end of the console closes what modules keep, and a failure there keeps nothing else from closing."""

    class Kept:
        closed = 0

        def close(self) -> None:
            Kept.closed += 1

    class Broken:
        async def aclose(self) -> None:
            raise OSError

    console = site.console()
    console.sight.kept.update({"broken": Broken(), "kept": Kept(), "plain": 1})
    asyncio.run(console.aclose())
    assert (Kept.closed, console.sight.kept) == (1, {})
