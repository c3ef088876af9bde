"""What clients ask, how they behave, and what each may be answered."""

import json
import random
from dataclasses import dataclass
from typing import Any, Final

from .wire import Manner, Said

MESSAGES: Final = "/v1/messages"
CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
ENDS: Final = {MESSAGES: b"event: message_stop", CHAT: b"data: [DONE]", RESPONSES: b"event: response.completed"}
"""What a stream that is whole ends with."""
OWN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
COUNTED: Final = frozenset({*ENDS, "/v1/models"})
LARGEST: Final = 64 * 1024
REPEATED: Final = 60

FINE: Final = frozenset({200})


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request.

    Args:
        name: in reports.
        weight: how many of a thousand are of it.
        paths: where it may be asked.
        key: whose it is.
        statuses: what may come.
        plan: what the provider does about it.
        model: what it asks for.
        streams: the share that is streamed.
        manner: of its client.
        breaks: whether a stream may end in an error.
        repeats: whether it is asked again and again, so that it may be kept.
    """

    name: str
    weight: float
    paths: tuple[str, ...] = tuple(ENDS)
    key: str = "clean"
    statuses: frozenset[int] = FINE
    plan: str = "-"
    model: str = "any"
    streams: float = 0.4
    manner: Manner = ""
    breaks: bool = False
    repeats: bool = False


ALL: Final = "small={0},mid={0},large={0}"
CASES: Final = (
    Case("plain", 380),
    Case("kept", 150, streams=0, repeats=True),
    Case("slow provider", 20, plan="small=slow"),
    Case("one escalation", 80, plan="small=poor"),
    Case("two escalations", 20, plan="small=poor,mid=poor"),
    Case("one tier", 60, model="top"),
    Case("passed on", 60, paths=(MESSAGES,), model="passed"),
    Case("an error, then well", 15, plan="small=err+ok"),
    Case("limited, then well", 15, plan="small=lim+ok"),
    Case("a tier fails", 10, plan="small=err"),
    Case("all tiers fail", 3, plan=ALL.format("err"), statuses=frozenset({200, 500, 502, 503})),
    Case("cut", 8, key="rough", plan="small=cut"),
    Case("no JSON", 8, key="rough", plan="small=bad"),
    Case("no answer", 8, key="rough", plan="small=drop+ok"),
    Case("cut at the top", 4, key="rough", plan="large=cut", model="top", breaks=True,
         statuses=frozenset({200, 500, 502, 503})),
    Case("rate", 25, key="limited", statuses=frozenset({200, 429})),
    Case("budget", 10, key="poor", statuses=frozenset({200, 402, 429}), streams=0),
    Case("temporary", 10, key="temporary", statuses=frozenset({200, 401})),
    Case("leaves", 15, key="leaver", streams=1, model="top", manner="leaves"),
    Case("leaves early", 15, key="leaver", plan="small=slow", manner="leaves early"),
    Case("slow body", 8, manner="slow body"),
    Case("slow read", 8, streams=1, manner="slow read"),
    Case("stalls", 2, manner="stalls", statuses=frozenset({408})),
    Case("too large", 3, manner="too large", statuses=frozenset({413})),
    Case("wrong key", 15, key="wrong", statuses=frozenset({401})),
    Case("malformed", 15, statuses=frozenset({400})),
    Case("models", 12, paths=("/v1/models",)),
    Case("health", 12, paths=("/healthz", "/metrics")),
    Case("readiness", 4, paths=("/readyz",), statuses=frozenset({200, 503})),
    Case("lost", 4, paths=("/v1/nowhere",), statuses=frozenset({404})),
)  # fmt: skip
WEIGHTS: Final = [each.weight for each in CASES]
MALFORMED: Final = (b"{", b"[]", b'{"model": 7}', b'{"model": "any", "messages": "no", "input": 3}', b"\xff\xfe")


@dataclass(frozen=True, slots=True)
class Asking:
    """One request."""

    case: Case
    prompt: str
    path: str
    streamed: bool
    head: bytes
    body: bytes

    def __str__(self) -> str:
        """For reports."""
        return f"{self.case.name}, {self.path}{', streamed' if self.streamed else ''}, {self.prompt}"

    @property
    def label(self) -> str:
        """What the gateway counts it under."""
        return self.path if self.path in COUNTED else "other"


def drawn(rng: random.Random, number: int, secrets: dict[str, str]) -> Asking:
    """The next request; without a secret yet, whoever has one that works stands in."""
    case = rng.choices(CASES, WEIGHTS)[0]
    if case.key == "temporary" and case.key not in secrets:
        case = CASES[0]
    path = rng.choice(case.paths)
    streamed = path in ENDS and rng.random() < case.streams
    prompt = f"r{number}"
    if case.repeats:
        prompt = f"k{int(REPEATED * rng.random() ** 2)}-{path[4:6]}"
    body = b""
    if path in ENDS:
        filling = "" if case.repeats else " filling" * rng.randint(0, 200)
        body = _written(case, path, f"soak {prompt} {case.key} {case.plan}{filling}", streamed=streamed)
    if case.name == "malformed":
        body = rng.choice(MALFORMED)
    elif case.manner == "too large":
        body = b" " * (LARGEST + 1)
    method = "POST" if path in ENDS or path == "/v1/nowhere" else "GET"
    secret = secrets[case.key]
    own = f"x-api-key: {secret}" if path == MESSAGES else f"authorization: Bearer {secret}"
    lines = [f"{method} {path} HTTP/1.1", "host: soak"]
    if path not in OWN:
        lines.append(own)
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return Asking(case, prompt, path, streamed, ("\r\n".join(lines) + "\r\n\r\n").encode(), body)


def _written(case: Case, path: str, text: str, *, streamed: bool) -> bytes:
    said: dict[str, Any] = {"model": case.model}
    if path == RESPONSES:
        said |= {"input": text}
    else:
        said |= {"messages": [{"role": "user", "content": text}]}
    if path == MESSAGES:
        said["max_tokens"] = 300
    if streamed:
        said["stream"] = True
    if case.repeats:
        said["temperature"] = 0
    return json.dumps(said).encode()


def fault(asked: Asking, said: Said) -> str:
    """What is wrong with an answer; empty where nothing is."""
    case = asked.case
    if said.status not in case.statuses:
        return f"status {said.status}: {said.body[:150]!r}"
    if said.status != 200 or asked.path not in ENDS or said.headers.get("x-cascade-via") == "static":
        return ""
    if case.breaks and b"error" in said.body:
        return ""
    word = "POOR" if said.headers.get("x-cascade-degraded") == "a better tier failed" else "answer"
    if f"{word} {asked.prompt} from".encode() not in said.body:
        return f"not its own answer: {said.body[:150]!r}"
    if asked.streamed and ENDS[asked.path] not in said.body:
        return f"the stream has no end: {said.body[-150:]!r}"
    return ""
