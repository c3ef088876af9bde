"""nginx: the least that a proxy takes, a static answer, and a stream passed on. It reads nothing of what it passes."""

from contender import Contender, Job, port_and_url
from processes import program
from site_of import Site
from upstream import NGINX, version_of

GET = {"method": "GET", "body": b"", "headers": {}}


def contenders(job: Job, site: Site) -> list[Contender]:
    if job in ("proxy", "start"):
        return [_passing("nginx", site.upstream.url, expect=b"Paris", calls=1)]
    if job == "stream":
        return [_passing("nginx", site.upstream.chunks, expect=b"piece 19", body=site.streamed, calls=1)]
    if job == "tls":
        return [
            _static("nginx, plain"),
            _static("nginx, TLS", tls=site.tls, over="nginx, plain"),
        ]
    if job == "mix":
        return [_static("nginx, one static answer", body=site.page, script=site.mix)]
    return [_static("nginx, one static answer", body=site.page)] if job == "cache" else []


def _passing(name: str, upstream: str, **more: object) -> Contender:
    port, url = port_and_url()
    host = upstream.removeprefix("http://")
    body = f"""upstream models {{ server {host}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}"""
    return _nginx(name, url, body, note="a proxy, nothing else", **more)


def _static(name: str, *, tls: tuple[str, str] | None = None, body: str = "ok", **more: object) -> Contender:
    port, url = port_and_url("/", scheme="https" if tls else "http")
    secure = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
    places = f"""server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""}; {secure}
    location / {{ return 200 '{body}'; }} }}"""
    return _nginx(name, url, places, **GET, **more)  # type: ignore[arg-type]


def _nginx(name: str, url: str, places: str, **more: object) -> Contender:
    found = program("nginx")
    return Contender(
        name,
        [found, "-p", ".", "-c", "nginx.conf"],
        url,
        version_of([found, "-v"], r"nginx/(\S+)"),
        "limit",
        {"nginx.conf": NGINX.format(body=places)},
        **more,  # type: ignore[arg-type]
    )
