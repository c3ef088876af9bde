"""Where a request to the console comes from: pages of other origins, names that lead here, TLS, proxies."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from consoles import HOST, Site, told
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


CROSSED = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "Cross-Site"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {"sec-fetch-site": None, "origin": "http://evil.example"},
    {"sec-fetch-site": None, "origin": "null"},
    {"sec-fetch-site": None, "origin": f"http://{HOST}.evil.example"},
    {"sec-fetch-site": None, "origin": f"http://{HOST}@evil.example"},
    {"sec-fetch-site": None, "origin": "http://127.0.0.1:9999"},
    {"sec-fetch-site": None, "origin": "http://127.0.0.1"},
    {"sec-fetch-site": None, "origin": f"ftp://{HOST}"},
    {"sec-fetch-site": None, "origin": f"http://{HOST}/"},
    {"sec-fetch-site": None, "origin": "http://[::1"},
    {"sec-fetch-site": None, "origin": ""},
    {"sec-fetch-site": None, "origin": f"http://{HOST}", "host": None},
]


@pytest.mark.parametrize("sent", CROSSED)
def test_what_another_origin_sends_is_refused(site: Site, sent: dict[str, str | None]) -> None:
    """Neither a change nor a login is taken from a page of another origin, whatever else is right about it."""

    async def main() -> None:
        ada = site.visitor()
        assert (await ada.login(headers=sent)).status == 403
        assert not ada.cookie
        await ada.login()
        assert (await ada.ask("POST", ECHO, b"{}", sent)).status == 403

    asyncio.run(main())


@pytest.mark.parametrize(
    "sent",
    [
        {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"},
        {"sec-fetch-site": None, "origin": f"http://{HOST}"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"sec-fetch-site": None},
    ],
)
def test_own_pages_and_other_clients_are_taken(site: Site, sent: dict[str, str | None]) -> None:
    """A form of our own page is taken, as is a client that is no browser and so says nothing of origins."""

    async def main() -> None:
        assert (await site.visitor().login(headers=sent)).status == 303

    asyncio.run(main())


@pytest.mark.parametrize("site_said", ["cross-site", "same-site"])
def test_other_origins_read_nothing(site: Site, site_said: str) -> None:
    """A page of another origin reads no call and no file of ours; a link to a page may come from anywhere."""

    async def main() -> None:
        ada = site.visitor()
        await ada.login()
        assert (await ada.get(ME, sec_fetch_site=site_said)).status == 403
        assert (await ada.get("/console/static/shell.js", sec_fetch_site=site_said)).status == 403
        assert (await ada.get("/console/reviews", sec_fetch_site=site_said)).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1", "a@b@c", "["]
)
def test_a_name_that_leads_here_is_not_ours(site: Site, host: str) -> None:
    """On a loopback address the console answers to names of this machine alone: others are somebody's page."""

    async def main() -> None:
        visitor = site.visitor(host=host)
        for path in ("/console/", "/console/login", "/console/static/style.css", ME):
            assert (await visitor.get(path)).status == 403
        assert (await visitor.login(headers={"origin": f"http://{host}"})).status == 403

    asyncio.run(main())


@pytest.mark.parametrize(
    "host", ["localhost:8080", "LOCALHOST", "demo.localhost", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"]
)
def test_names_of_this_machine_are(site: Site, host: str) -> None:
    """Loopback addresses and localhost are names of this machine."""

    async def main() -> None:
        assert (await site.visitor(host=host).get("/console/login")).status == 200

    asyncio.run(main())


# Over TLS, and behind a proxy.


def test_over_tls_the_cookie_is_bound_to_it(site: Site) -> None:
    """Over TLS the cookie is `__Host-`, Secure, and the only one that counts; the browser is to keep to TLS."""

    async def main() -> None:
        ada = site.visitor(site.console(secure=True, host="0.0.0.0"), host="console.example")  # noqa: S104 - as others reach it
        response = await ada.login()
        cookie = told(response, "set-cookie")
        assert cookie.startswith("__Host-fastcascade=")
        assert [each.strip() for each in cookie.split(";")[1:]] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
        assert "max-age" in told(response, "strict-transport-security")
        plain = ada.cookie.replace("__Host-fastcascade", "fastcascade_console")
        assert (await ada.get(ME, cookie=plain)).status == 401
        over_plain = site.visitor(site.console())
        response = await over_plain.login()
        assert not told(response, "strict-transport-security")
        assert "Secure" not in told(response, "set-cookie")

    asyncio.run(main())


def test_a_proxy_is_believed_if_it_is_named(site: Site) -> None:
    """What a proxy says of TLS, of the name and of who asks counts where it is one of `proxies`, and else does not."""

    async def main() -> None:
        sent: dict[str, str | None] = {
            "x-forwarded-proto": "https",
            "x-forwarded-host": "console.example",
            "x-forwarded-for": "198.51.100.1, 203.0.113.9",
            "origin": "https://console.example",
            "sec-fetch-site": None,
        }
        allowed = site.visitor(site.console(host="0.0.0.0", proxies=("192.0.2.0/24",)), host="10.0.0.1:8080")  # noqa: S104 - as above
        response = await allowed.login(headers=sent)
        assert response.status == 303
        assert told(response, "set-cookie").startswith("__Host-")
        strange = site.visitor(site.console(host="0.0.0.0"), host="10.0.0.1:8080")  # noqa: S104 - as above
        assert (await strange.login(headers=sent)).status == 403
        response = await strange.login(headers={**sent, "origin": "http://10.0.0.1:8080"})
        assert not told(response, "set-cookie").startswith("__Host-")

    asyncio.run(main())
