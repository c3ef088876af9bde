"""The playground: one request through the six layers of a small real service, each step timed and told.

    playground = Playground()
    told = await playground.run(PRESETS["escalates"])

Its parts are the library's own and do what they do anywhere; its models are small programs, with simulated latencies
and prices. It is built when it is first used, and nothing of it is told to the gateway's events.
"""

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from fastcascade import drive
from fastcascade._core import Key, Refused
from fastcascade.console.asked import Refusal
from fastcascade.console.playground_parts import Parts, Target
from fastcascade.console.playground_presets import Preset
from fastcascade.console.playground_steps import Medians, Step, Steps, answer_of, rungs_of
from fastcascade.errors import PathError, RequestError, StoreError
from fastcascade.messages import Request
from fastcascade.notices import quiet

if TYPE_CHECKING:
    from fastcascade._core import Match

__all__ = ["Playground"]

SEED: Final = 1
"""Of each request, so that a preset shows the same each time."""


class Playground:
    """The service, and what is remembered of its runs."""

    def __init__(self) -> None:
        """Put it together."""
        self.parts = Parts()
        self.medians = Medians()

    async def run(self, asked: Preset) -> dict[str, Any]:
        """One request, from the top down: its steps, its answer and its trace."""
        if asked.first == "asked":
            await self._kept_first(asked)
        if asked.first == "drained":
            self._drain(asked.key)
        return await self._through(asked)

    async def answer(self, ticket: str, text: str, reviewer: str) -> dict[str, Any]:
        """What a person says to a request that was handed over; raises `Refusal`."""
        desk = self.parts.desk
        try:
            held = await desk.claim(reviewer, ticket)
            if held is None:
                raise Refusal(409, "nobody waits for an answer under this ticket, or another person has it")
            came = await desk.answer(held, text)
            review = await desk.wait(ticket, timeout=0.0)
        except RequestError as error:
            raise Refusal(422, str(error)) from None
        except StoreError:
            raise Refusal(503, "the playground's desk cannot be reached; try again") from None
        kept = review.answer
        return {"came": came, "state": review.state, "text": kept.text if kept is not None else "", "by": reviewer}

    async def aclose(self) -> None:
        """Close and remove what it opened."""
        await self.parts.aclose()

    # The layers.

    async def _through(self, asked: Preset) -> dict[str, Any]:
        steps, parts = Steps(), self.parts
        answer = await self._layers(asked, steps)
        for step in steps.all.values():
            if step.outcome == "skipped":
                step.would = self.medians.of(step.layer) or self._estimate(step.layer, asked)
            elif answer.get("via") != "joined" and _usual(step, asked):
                self.medians.note(step)
        attempts = answer.pop("attempts", [])
        return {
            "request": {"method": asked.method, "path": asked.path, "text": asked.text, "key": asked.key},
            "steps": [step.json() for step in steps.all.values()],
            "answer": answer,
            "trace": attempts,
            "decision_id": "",
            "simulated": "latencies and prices of the models",
            "slowest": parts.slowest,
        }

    async def _layers(self, asked: Preset, steps: Steps) -> dict[str, Any]:
        parts = self.parts
        path = self._entered(asked, steps)
        if path is None:
            return {"status": 400, "layer": "L0", "text": "this path is refused"}
        credential = parts.secrets.get(asked.key, asked.key) or None
        found, key = self._cached(asked, path, credential, steps)
        if found is not None:
            steps["L1"].outcome = "answered"
            age = time.monotonic() - found["at"]
            steps["L1"].detail.append(f"kept {age:.1f} s ago, by an earlier run that asked the same")
            return {**found["answer"], "layer": "L1", "via": "cache", "age": age, "attempts": []}
        matched = self._matched(asked, path, steps)
        refused = self._guarded(asked, path, credential, steps)
        if refused is not None:
            return refused
        if matched is None:  # the guard refuses what leads nowhere, and so this is not come to
            return {"status": 404, "layer": "L2", "text": "there is no such route"}
        target: Target = matched.target
        if target.kind != "ladder":
            return await self._page(target, matched, path, steps)
        answer = await self._climbed(target, asked, steps)
        if asked.keep and answer["text"] and not (answer["degraded"] or answer["ticket"] or answer["via"]):
            parts.cache.put(key, {"answer": {**answer, "attempts": []}, "at": time.monotonic()})
        return answer

    def _entered(self, asked: Preset, steps: Steps) -> str | None:
        """L0: the path in its one form, and who is there to be asked."""
        parts, path = self.parts, None
        try:
            with steps.timing("L0"):
                path = parts.policy.normalize(asked.path)
                there = parts.pool.look()
        except PathError as error:
            steps["L0"].outcome = "refused"
            steps["L0"].detail.append(str(error))
            return None
        same = path == asked.path
        steps["L0"].detail.append(f"path {path}" + ("" if same else f", brought into form from {asked.path}"))
        up = sum(each.usable for each in there)
        steps["L0"].detail.append(f"pool {parts.pool.name}: {up} of {len(there)} instances can be asked")
        return path

    def _cached(
        self, asked: Preset, path: str, credential: str | None, steps: Steps
    ) -> tuple[dict[str, Any] | None, Key]:
        """L1: an answer that is kept for this very caller."""
        parts = self.parts
        with steps.timing("L1") as step:
            identity = parts.keys.identify(credential) if credential else None
            key = Key(identity.name if identity is not None else None, asked.method, path, asked.text)
            found = parts.cache.get(key) if asked.keep else None
        whose = f"for {identity.name} alone" if identity is not None else "for anybody"
        if asked.keep:
            step.detail.append(f"looked up {whose}: {'found' if found is not None else 'not there'}")
        else:
            step.detail.append("not looked up: the request wants no kept answer")
        return found, key

    def _matched(self, asked: Preset, path: str, steps: Steps) -> "Match[Target] | None":
        """L2: where the path leads."""
        router = self.parts.router
        with steps.timing("L2") as step:
            matched = router.match(path, asked.method)
        tried = router.explain(path, asked.method)
        step.detail.append(", ".join(f"{each.matcher}: {each.outcome}" for each in tried))
        if matched is not None:
            step.detail.append(f"route {matched.route}, which leads to {_where(matched.target)}")
        return matched

    def _guarded(self, asked: Preset, path: str, credential: str | None, steps: Steps) -> dict[str, Any] | None:
        """L3: whether this caller may, and may now. The way in one call: it identifies and matches for itself."""
        parts = self.parts
        client = asked.key or "anybody"
        with steps.timing("L3") as step:
            taken = parts.front.take(path, asked.method, credential, client)
        if not isinstance(taken, Refused):
            identity = getattr(taken, "identity", None)
            left = parts.limiter.available(client)
            who = f"caller {identity.name}" if identity is not None else "public, no key needed"
            step.detail.append(f"{who}; {left:.0f} of {parts.limiter.quota.burst:.0f} requests left in the bucket")
            return None
        step.outcome = "refused"
        wait = taken.retry_after
        again = "" if wait is None else f"; again in {wait:.1f} s"
        step.detail.append(f"{taken.status}: {taken.reason}{again}")
        return {"status": taken.status, "layer": "L3", "text": taken.reason, "retry_after": wait}

    async def _page(self, target: Target, matched: "Match[Target]", path: str, steps: Steps) -> dict[str, Any]:
        """What a route answers by itself, once the guard has let the request in."""
        by = matched.by
        with steps.timing("L2") as step:
            if target.kind == "function":
                text = target.what(matched.params)
            elif target.kind == "pool":
                reply = await target.what.complete(Request.of(path))
                text = reply.text if reply is not None else ""
            else:
                text = str(target.what)
        step.outcome = "answered"
        if target.kind == "pool":
            step.detail.append("an instance of the pool answered; its latency of 20 ms is simulated")
        return {"status": 200, "layer": "L2", "text": text, "by": by, "via": f"{by} route", "tier": "", "model": ""}

    async def _climbed(self, target: Target, asked: Preset, steps: Steps) -> dict[str, Any]:
        """L4 and L5: the ladder, and what is done where it leads to nothing."""
        cascade = self.parts.ladders[target.what, asked.condition]
        request = Request.of(asked.text or "?", seed=SEED, id=secrets.token_hex(8))
        began = time.perf_counter_ns()
        with quiet():
            answer = await drive.run(cascade.flow, request)
        took = (time.perf_counter_ns() - began) / 1e9
        if answer.via == "joined":
            steps["L1"].outcome = "answered"
            steps["L1"].seconds += took
            steps["L1"].detail.append("joined a run that asks the same at this moment: one call for both")
        else:
            steps.laddered(answer, frozenset(tier.name for tier in cascade.tiers), took)
        return {**answer_of(answer), "attempts": rungs_of(answer)}

    # What goes before, and what would have been.

    async def _kept_first(self, asked: Preset) -> None:
        """Ask the same once, unless its answer is kept already."""
        identity = self.parts.keys.identify(self.parts.secrets[asked.key])
        key = Key(identity.name if identity is not None else None, asked.method, asked.path, asked.text)
        if self.parts.cache.peek(key) is None:
            await self._through(asked)

    def _drain(self, client: str) -> None:
        """Take all that is in a client's bucket, one by one, as that many requests would."""
        limiter = self.parts.limiter
        for _ in range(int(limiter.quota.burst) + 1):
            if limiter.admit(client):
                return

    def _estimate(self, layer: str, asked: Preset) -> dict[str, Any] | None:
        """What the models would have cost, by price, where none of the runs has asked them yet."""
        if layer != "L4":
            return None
        cascade = self.parts.ladders["ask", "well"]
        ladder = cascade.estimates(Request.of(asked.text or "?"))
        known = dict(zip(ladder.names, ladder.cost, strict=True))
        slowest = self.parts.slowest
        return {"seconds": slowest["small"], "usd": known.get("small"), "how": "estimate by price: one reply of small"}


def _usual(step: Step, asked: Preset) -> bool:
    """Whether it took what it usually takes: not what a route's own answer did, nor models that were broken."""
    if step.layer == "L2":
        return step.outcome != "answered"
    return step.layer != "L4" or asked.condition == "well"


def _where(target: Target) -> str:
    kinds = {"page": "a page", "function": "a function", "pool": "a pool of instances"}
    return kinds.get(target.kind, f"the ladder {target.what}")
