"""Whatever is sent to the console is answered: requests made up of all that it reads."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consoles import HOST, Site, told
from fastcascade.wire.endpoint import Response

WORDS = st.sampled_from(
    ["/", "static/", "api/", "login", "try", "style.css", "api/me", "api/echo", "..", "?", "%", "\x00"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["cookie", "origin", "host", "sec-fetch-site", "x-csrf-token", "if-none-match", "x-forwarded-host"]
    ),
    st.text(max_size=60) | st.sampled_from([HOST, "same-origin", "*", "fastcascade_console=" + "A" * 43]),
)
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "\xff"]),
        "path": st.lists(WORDS | st.text(max_size=12), max_size=5).map(lambda found: "/console/" + "".join(found)),
        "query": st.text(max_size=40) | st.sampled_from(["once=x", "next=try", "next=%0d%0a", "%", "once=%ff"]),
        "headers": HEADERS,
        "body": st.binary(max_size=60) | st.sampled_from([b"name=ada&password=x", b"{}", b"name=%ed%a0%80"]),
        "peer": st.text(max_size=20) | st.just("[::1%eth0]:1"),
    }
)


@given(st.lists(st.tuples(REQUESTS, st.booleans()), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_whatever_is_sent_is_answered(requests: list[tuple[dict[str, Any], bool]]) -> None:
    """No request makes the console fail, and no header that it answers with could be taken for two."""

    async def main(site: Site) -> list[Response]:
        console, record = site.console(), site.file.find("ada")
        answers = []
        for request, known in requests:
            site.clock.advance(300)  # so that the limits of tries are not what answers
            if known:
                token = await asyncio.to_thread(console.sessions.begin, "ada", record.id)
                request["headers"]["cookie"] = f"fastcascade_console={token}"
            answers.append(await console.handle(**request))
        return answers

    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        answers = asyncio.run(main(site))
        site.close()
    for response in answers:
        assert response.status in (200, 303, 304, 400, 401, 403, 404, 405)
        for name, value in response.headers:
            assert name.isascii() and name == name.lower()
            assert value.isascii() and value.isprintable(), (name, value)
        assert told(response, "content-security-policy")
