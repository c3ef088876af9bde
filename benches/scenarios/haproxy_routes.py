"""haproxy with the mix's routes: maps of strings, of beginnings (the longest counts) and of patterns, in this order."""

from collections.abc import Sequence

from contender import Contender, port_and_url
from mission_mix import PAGE, SHOWN, Mix
from processes import program
from upstream import version_of

CONFIG = """\
global
  nbthread {workers}
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 3600s
  timeout server 60s
  timeout http-keep-alive 3600s
  option http-keep-alive
  http-reuse always
  option forwardfor
frontend here
  bind 127.0.0.1:{port} backlog 4096
  http-request set-var(txn.route) path,map_str(exact.map)
  http-request set-var(txn.route) path,map_beg(prefix.map) unless {{ var(txn.route) -m found }}
  http-request set-var(txn.route) path,map_reg(regex.map) unless {{ var(txn.route) -m found }}
  http-request deny deny_status 404 unless {{ var(txn.route) -m found }}
{does}
"""
RETURN = f"""\
  http-request return status 200 content-type "text/plain; charset=utf-8" file page.txt hdr {SHOWN} "%[var(txn.route)]"
"""
PASS = f"""\
  http-request set-header x-forwarded-proto http
  http-response set-header {SHOWN} "%[var(txn.route)]"
  default_backend app
backend app
  option redispatch 1
  retries 3
  retry-on all-retryable-errors
  http-request disable-l7-retry unless METH_GET
"""
CHECKED = """\
  option allbackups
  option httpchk GET /healthz
  default-server check inter 1s fall 2 rise 2 observe layer4 error-limit 1 on-error mark-down
"""


def answering(mix: Mix, workers: int = 1) -> Contender:
    """Answers all by itself."""
    return _haproxy(mix, RETURN, workers, "maps, http-request return")


def passing(mix: Mix, upstream: str, workers: int = 1) -> Contender:
    """Passes all to one place."""
    return _haproxy(mix, f"{PASS}  server one {upstream}\n", workers, "maps, one server")


def backed(mix: Mix, primary: Sequence[str], secondary: Sequence[str]) -> Contender:
    """Passes all to a primary region, and to another where that fails."""
    servers = [f"  server p{number} {each}\n" for number, each in enumerate(primary)]
    servers += [f"  server s{number} {each} backup\n" for number, each in enumerate(secondary)]
    return _haproxy(mix, PASS + CHECKED + "".join(servers), 1, "backup, checks each 1 s, on-error mark-down")


def _haproxy(mix: Mix, does: str, workers: int, note: str) -> Contender:
    found = program("haproxy")
    port, url = port_and_url(mix.asked[0][0])
    files = {
        "haproxy.cfg": CONFIG.format(workers=workers, port=port, does=does),
        "page.txt": PAGE,
        "exact.map": _map(mix.exact),
        "prefix.map": _map(mix.prefix),
        "regex.map": _map(mix.regex),
    }
    return Contender(
        "haproxy",
        [found, "-db", "-f", "haproxy.cfg"],
        url,
        version_of([found, "-v"], r"version (\d[\d.]*)"),
        files=files,
        method="GET",
        headers={},
        body=b"",
        note=note,
    )


def _map(routes: dict[str, str]) -> str:
    return "".join(f"{key} {name}\n" for key, name in routes.items())
