"""How long after the request the first bytes of a stream's first piece are there, over asking the model itself."""

import socket
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

from contender import Contender
from processes import Absent
from site_of import Site
from turns import entered

MARK = b"piece 0"


def table(site: Site, *, quick: bool) -> list[dict[str, Any]]:
    """One request at a time, over one connection; the contenders take turns."""
    rows = entered("stream", site)
    times = 20 if quick else 200
    seen: dict[str, list[float]] = {}
    try:
        for row in rows:
            if not row.absent:
                try:
                    row.start(site.folder)
                except Absent as error:
                    row.absent = str(error)[:200]
        asked = [row for row in rows if not row.absent]
        bare = Contender("asked directly", [], f"{site.upstream.chunks}/v1/messages", body=site.streamed)
        links = {row.name: (row, _connected(row)) for row in (bare, *asked)}
        for turn in range(times + 3):
            for name, (row, link) in links.items():
                seconds = _first(row, link)
                if turn >= 3:
                    seen.setdefault(name, []).append(seconds * 1e3)
        for _, link in links.values():
            link.close()
    finally:
        for row in rows:
            row.end()
    return _told(rows, seen)


def _connected(row: Contender) -> socket.socket:
    parts = urlsplit(row.url)
    link = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _first(row: Contender, link: socket.socket) -> float:
    head = f"POST {urlsplit(row.url).path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(row.body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in row.headers.items())
    began = time.perf_counter()
    link.sendall(head.encode() + b"\r\n" + row.body)
    said, first = b"", 0.0
    while b"0\r\n\r\n" not in said[-64:]:
        data = link.recv(65_536)
        if not data:
            raise RuntimeError(f"{row.name} closed its connection: {said[-200:]!r}")
        said += data
        if not first and MARK in said:
            first = time.perf_counter() - began
        if b"content-length:" in said.lower() and b"message_stop" in said:
            break
    return first


def _told(rows: list[Contender], seen: dict[str, list[float]]) -> list[dict[str, Any]]:
    bare = seen["asked directly"]
    found: list[dict[str, Any]] = [{"name": "asked directly", "ms": statistics.median(bare), "ms_over": 0.0}]
    for row in rows:
        about = {"name": row.name, "version": row.version, "note": row.note}
        if row.absent:
            found.append({**about, "absent": row.absent})
            continue
        over = [one - two for one, two in zip(seen[row.name], bare, strict=True)]
        found.append({**about, "ms": statistics.median(seen[row.name]), "ms_over": statistics.median(over)})
    print("\n## a stream's first piece, one request at a time\n")
    print(f"{'contender':<33}{'ms':>10}{'ms over':>10}")
    for each in found:
        if "absent" in each:
            print(f"{each['name']:<33}  left out: {each['absent']}")
        else:
            print(f"{each['name']:<33}{each['ms']:>10.2f}{each['ms_over']:>10.2f}")
    return found
