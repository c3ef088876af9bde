"""The models: nginx with fixed answers, counted, and `chunks.py` for streams. What is asked is the same for all."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import Running, asked, free_port, program

GOOD, POOR = '{"capital": "Paris"}', "I am not sure which city that is."
SMALL, LARGE = "claude-haiku-4-5", "claude-opus-4-5"
SECRET = "made-up"
HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": SECRET}


def question(*, size: int = 2048, stream: bool = False) -> bytes:
    """A body of so many bytes."""
    asks = {"model": SMALL, "max_tokens": 256, "temperature": 0, "messages": [{"role": "user", "content": ""}]}
    if stream:
        asks["stream"] = True
    text = "What is the capital of France? Answer in JSON. " * (size // 40)
    room = size - len(json.dumps(asks))
    asks["messages"] = [{"role": "user", "content": text[:room]}]
    return json.dumps(asks).encode()


def reply(text: str) -> str:
    usage = {"input_tokens": 12, "output_tokens": 9}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": SMALL, "stop_reason": "end_turn"}
    return json.dumps({**whole, "content": [{"type": "text", "text": text}], "stop_sequence": None, "usage": usage})


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 64k;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  default_type application/json;
  {body}
}}
"""


@dataclass
class Upstream:
    """Where the models are: `url` answers well, `poor` does not, `chunks` says it piece by piece."""

    url: str
    poor: str
    chunks: str
    looks: int = 0  # how often `count` was asked, which nginx counts too

    def count(self) -> int:
        """Requests that both have had, without those that ask for this number."""
        _, _, body = asked(f"{self.url}/count", "GET", {}, b"")
        found = re.search(rb"\n (\d+) (\d+) (\d+)", body)
        assert found
        self.looks += 1
        _, _, streams = asked(self.chunks, "GET", {}, b"")
        return int(found[3]) - self.looks + int(streams)


@contextmanager
def running(folder: Path) -> Iterator[Upstream]:
    """Both, until the end."""
    port, other = free_port(), free_port()
    places = f"""server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /v1/messages {{ return 200 {_quoted(reply(GOOD))}; }}
    location = /poor/v1/messages {{ return 200 {_quoted(reply(POOR))}; }}
    location = /count {{ stub_status; }}
  }}"""
    home = folder / "upstream"
    home.mkdir()
    (home / "nginx.conf").write_text(NGINX.format(body=places), encoding="utf-8")
    url, chunks = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
    nginx = Running([program("nginx"), "-p", str(home), "-c", "nginx.conf"], home, {})
    try:
        (folder / "chunks").mkdir()
        script = str(Path(__file__).with_name("chunks.py"))
        with Running([sys.executable, script, str(other)], folder / "chunks", {}) as talk:
            nginx.until(lambda: asked(f"{url}/v1/messages", "POST", HEADERS, question())[0] == 200)
            talk.until(lambda: asked(f"{chunks}/v1/messages", "POST", HEADERS, question())[0] == 200)
            yield Upstream(url, f"{url}/poor", chunks)
    finally:
        nginx.end()


def version_of(command: list[str], pattern: str) -> str:
    """A version, as a program says it."""
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1] if found else "?"
