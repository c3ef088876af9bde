"""nginx with the mix's routes: `location =`, `location ^~` and `location ~`, which is its own order of kinds.

Its upstreams have no active checks, which are not part of the free version: an instance that fails is left out for
`fail_timeout`, and then tried with a client's request.
"""

from collections.abc import Sequence

from contender import Contender, port_and_url
from mission_mix import PAGE, SHOWN, Mix
from processes import program
from upstream import version_of

CONFIG = """\
worker_processes {workers}; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 64k;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  default_type "text/plain; charset=utf-8";
  {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_next_upstream error timeout http_502 http_503 http_504;
{locations}
  }}
}}
"""


def answering(mix: Mix, workers: int = 1) -> Contender:
    """Answers all by itself."""
    return _nginx(mix, f"return 200 '{PAGE}'; ", "", workers, "location return")


def passing(mix: Mix, upstream: str, workers: int = 1) -> Contender:
    """Passes all to one place."""
    there = f"upstream app {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}"
    return _nginx(mix, "proxy_pass http://app; ", there, workers, "proxy_pass")


def backed(mix: Mix, primary: Sequence[str], secondary: Sequence[str]) -> Contender:
    """Passes all to a primary region, and to another where that fails."""
    servers = [f"server {each} max_fails=1 fail_timeout=1s;" for each in primary]
    servers += [f"server {each} max_fails=1 fail_timeout=1s backup;" for each in secondary]
    there = f"upstream app {{ {' '.join(servers)} keepalive 512; keepalive_requests 1000000000; }}"
    return _nginx(mix, "proxy_pass http://app; ", there, 1, "backup, fail_timeout=1s")


def _nginx(mix: Mix, does: str, upstream: str, workers: int, note: str) -> Contender:
    found = program("nginx")
    places = [(f"= {path}", name) for path, name in mix.exact.items()]
    places += [(f"^~ {folder}", name) for folder, name in mix.prefix.items()]
    places += [(f'~ "{pattern}"', name) for pattern, name in mix.regex.items()]
    locations = "\n".join(f'    location {at} {{ add_header {SHOWN} "{name}"; {does}}}' for at, name in places)
    port, url = port_and_url(mix.asked[0][0])
    told = CONFIG.format(workers=workers, port=port, upstream=upstream, locations=locations)
    return Contender(
        "nginx",
        [found, "-p", ".", "-c", "nginx.conf"],
        url,
        version_of([found, "-v"], r"nginx/(\S+)"),
        files={"nginx.conf": told},
        method="GET",
        headers={},
        body=b"",
        note=note,
    )
