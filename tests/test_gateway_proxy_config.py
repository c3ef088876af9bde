"""Pools and routes in a file: what is read, what is told of mistakes, what the doctor says, and all of it served."""

import asyncio
import signal
from pathlib import Path

import pytest

from fastcascade import config
from fastcascade.cli.doctor_checks import examined
from fastcascade.entry.balance import LeastOutstanding
from fastcascade.errors import ConfigError
from fastcascade.gateway import loading
from fastcascade.gateway.proxy_settings import Cached, Check, ProxyInstance, ProxyPool, ProxyRoute, Respond, Timeouts
from gateways import Client, Process
from proxied import behind, run

WHOLE = """
[gateway]
proxies = ["10.0.0.0/8"]
[gateway.pools.api]
balance = "least outstanding"
health = { path = "/healthz", every = 2.0, timeout = 1.0, fall = 2, rise = 2 }
timeout = { connect = 1, head = 20 }
retries = 2
headers = { authorization = "literal:Bearer x" }
instances = [
    { url = "http://10.0.0.1:9000", region = "eu", weight = 2 },
    { url = "https://api.example", region = "us", priority = 1 },
]
[[gateway.routes]]
path = "/users/{id}"
methods = ["GET", "PUT"]
to = "api"
timeout = 3
cache = true
request = { headers = { x-a = "b" }, remove = ["cookie"] }
[[gateway.routes]]
regex = '^/v\\d+/legacy'
to = "api"
limit = "100/min burst 20"
websocket = true
[[gateway.routes]]
path = "/ping"
respond = { status = 200, body = "pong", headers = { x-a = "b" } }
"""


def written(folder: Path, text: str) -> Path:
    """A file with this in it."""
    file = folder / "cascade.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_of_routes_alone(tmp_path: Path) -> None:
    """Pools and routes are read with all they say, and no cascade is needed beside them."""
    whole = config.load_all(written(tmp_path, WHOLE))
    told = whole.settings
    assert not whole.cascades
    api = told.pools["api"]
    assert isinstance(api.balance, LeastOutstanding)
    assert api.health == Check("/healthz", 2.0, 1.0, 2, 2)
    assert api.times == Timeouts(1, 20, 60)
    assert api.instances[0] == ProxyInstance("http://10.0.0.1:9000", "10.0.0.1:9000", "eu", 2)
    assert api.headers == {"authorization": "Bearer x"}
    users, legacy, ping = told.routes
    assert (users.methods, users.to, users.times, users.cache) == (("GET", "PUT"), "api", Timeouts(3, 3, 3), Cached())
    assert (legacy.regex, legacy.websocket, legacy.name) == (r"^/v\d+/legacy", True, r"^/v\d+/legacy")
    assert ping.respond == Respond(200, "pong", {"x-a": "b"})
    assert told.websockets
    with pytest.raises(ConfigError, match="no cascade"):
        whole.cascade()
    service = loading.load(tmp_path / "cascade.toml", told)
    assert service.routes is not None
    assert "Bearer" not in repr(told)


MISTAKES = [
    ("retries = 2", "retrys = 2", "line 8: gateway.pools.api.retrys: no such setting; did you mean 'retries'?"),
    ("fall = 2", "fal = 2", "line 6: gateway.pools.api.health.fal: no such setting; did you mean 'fall'?"),
    ('region = "eu"', 'regoin = "eu"', "instances[0].regoin: no such setting; did you mean 'region'?"),
    ("http://10.0.0.1:9000", "10.0.0.1:9000", "line 11: gateway.pools.api.instances[0].url: "),
    ("http://10.0.0.1:9000", "http://u:p@10.0.0.1:9000", "this looks like a secret"),
    ("literal:Bearer x", "Bearer x", "a secret may not stand in the file"),
    (
        'to = "api"\ntimeout',
        'to = "apj"\ntimeout',
        "line 17: gateway.routes[0].to: no such pool: 'apj'; did you mean 'api'?",
    ),
    ("cache = true", "cash = true", "line 19: gateway.routes[0].cash: no such setting; did you mean 'cache'?"),
    ('path = "/ping"', 'path = "/users/{name}"', "line 27: gateway.routes[2].path: route"),
    ("/users/{id}", "/users/{id", "gateway.routes[0].path: route"),
    ("^/v\\d+/legacy", "^/(?=x)", "gateway.routes[1].regex: "),
    ("^/v\\d+/legacy", "^/(", "regex is no regular expression"),
    ("100/min burst 20", "often", "limit 'often' cannot be read"),
    ('"GET", "PUT"', '"get"', "methods are written in capitals"),
    ('body = "pong"', 'boby = "pong"', "did you mean 'body'?"),
    ("[gateway.pools.api]", "[gateway.pool.api]", "did you mean 'pools'?"),
    ('balance = "least outstanding"', 'balance = "by prefix"', "has no 'prefix'|reads prompts"),
    ('path = "/ping"', 'path = "/ping"\nto = "api"', "either 'to', the name of a pool, or 'respond'"),
    ('x-a = "b" }, remove', 'transfer-encoding = "b" }, remove', "frames the message"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_mistakes_are_told_with_their_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What is misspelt, of another kind or not there is told at its line, with what may have been meant."""
    text = WHOLE.replace("\\\\d", "\\d")
    assert old in text
    with pytest.raises(ConfigError) as caught:
        config.load_all(written(tmp_path, text.replace(old, new, 1)))
    assert any(each in str(caught.value) for each in said.split("|")), str(caught.value)


def test_a_guarded_route_needs_keys(tmp_path: Path) -> None:
    """A file whose route wants a key is not served where there are none, and the doctor says so."""
    file = written(tmp_path, '[[gateway.routes]]\npath = "/in"\nguard = true\nrespond = { body = "in" }\n')
    with pytest.raises(ConfigError, match="guard"):
        loading.load(file, loading.settings_of(file))
    found = examined(file)
    assert any(each.status == "fail" and "guard" in each.said for each in found)


def test_the_doctor_looks_at_pools(tmp_path: Path) -> None:
    """Each instance is reached or told of; pools that nobody asks, and a second instance without checks, are too."""
    text = """
[gateway]
port = 0
[gateway.pools.api]
instances = [{ url = "http://10.0.0.1:9000" }, { url = "http://10.0.0.2:9000" }]
[gateway.pools.spare]
instances = [{ url = "http://10.0.0.3:9000" }]
[[gateway.routes]]
path = "/a"
to = "api"
"""

    def reach(url: str, _timeout: float, *_more: object) -> str:
        return "refused" if "0.2" in url else ""

    said = {(each.status, each.said) for each in examined(written(tmp_path, text), reach=reach)}
    assert ("ok", "api: 10.0.0.1:9000 can be reached") in said
    assert ("fail", "api: 10.0.0.2:9000 cannot be reached: refused") in said
    assert ("warn", "no route leads to the pool spare") in said
    assert ("warn", "api: an instance that hangs is found by its calls alone") in said
    assert ("ok", "1 route(s), 2 pool(s)") in said
    assert not any(check == "fail" and "tier" in what for check, what in said)


def test_settings_by_hand_are_checked() -> None:
    """What cannot work is refused when it is made, by whomever."""
    one = ProxyInstance("http://a")
    for wrong in (
        lambda: ProxyInstance("ftp://a"),
        lambda: ProxyInstance("http://"),
        lambda: ProxyInstance("http://a:99999"),
        lambda: ProxyInstance("http://a/?b"),
        lambda: ProxyInstance("http://a", weight=0),
        lambda: ProxyPool([]),
        lambda: ProxyPool([one, one]),
        lambda: ProxyPool([one], failing=[200]),
        lambda: ProxyPool([one], headers={"host": "b"}),
        lambda: ProxyPool([one], timeout=0),
        lambda: Check(every=1, timeout=2),
        lambda: ProxyRoute("a", to="b"),
        lambda: ProxyRoute("/a"),
        lambda: ProxyRoute("/a", "^/a", to="b"),
        lambda: ProxyRoute("/a", to="b", strip="a"),
        lambda: Respond(100),
        lambda: Respond(204, "body"),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_it_is_served(tmp_path: Path) -> None:
    """`fastcascade serve` of such a file answers, passes on, counts by route, and ends when told."""
    told = '[gateway.pools.app]\ninstances = [{{ url = "{url}" }}]\nhealth = {{ every = 0.5, timeout = 0.5 }}\n'
    told += '[[gateway.routes]]\npath = "/app/{{rest...}}"\nto = "app"\n'
    told += '[[gateway.routes]]\npath = "/ping"\nrespond = {{ body = "pong" }}\n'

    async def main() -> None:
        async with behind() as app:
            file = written(tmp_path, told.format(url=app.url))
            with Process(str(file), "--port", "0", "--drain", "5") as process:
                port = await asyncio.to_thread(process.ready)
                client = Client(port)
                assert (await client.get("/ping")).body == b"pong"
                assert (await client.get("/app/x")).body == b"hello"
                assert (await client.get("/readyz")).status == 200
                assert (await client.get("/v1/models")).status == 404
                metrics = (await client.get("/metrics")).body.decode()
                assert f'path="/app/{{rest...}}",status="200",tier="app",via="127.0.0.1:{app.port}"' in metrics
                process.signal(signal.SIGTERM)
                await client.close()
                assert await asyncio.to_thread(process.end) == 0

    run(main)
