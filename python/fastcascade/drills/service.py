"""A drill of a service that runs: a steady load from outside, while the operator's commands break and mend it.

    ServiceDrill("http://127.0.0.1:8080", "openai", "docker stop eu", "docker start eu", model="chat").run()

Of its inside only what it says is known: who answered is read from headers that begin with `x-cascade-`, where there
are any, and else from the name of the model. What can be seen from outside is what callers see: errors, how long it
took, and the longest time without an answer.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from fastcascade.backends.backend import Backend
from fastcascade.backends.failures import scrub
from fastcascade.drills import invariants
from fastcascade.drills.load import Told, asked, steadily
from fastcascade.drills.report import Report, gap_of, home_of, phases_of, served_of, shifts_of
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Ask, Reply

__all__ = ["KEY", "ServiceDrill", "Wire"]

Wire = Literal["openai", "anthropic"]
KEY: Final = "FASTCASCADE_DRILL_KEY"
"""The variable with the key for the service. Those of providers are never sent: it is not known who is there."""
MARK: Final = "x-cascade-"
PATIENCE: Final = 60.0
"""Seconds that a command may take."""
SHOWN: Final = 300
"""Characters shown of what a command that failed has said."""
MOST: Final = 10_000
LONGEST: Final = 3_600.0

_said: ContextVar[dict[str, str] | None] = ContextVar("fastcascade_drill_headers", default=None)


class ServiceDrill:
    """Breaks and mends a service by commands, and reports what callers saw. Whatever happens, it is mended.

    Args:
        url: where it is: the base of the API as its clients have it, `http://127.0.0.1:8080/v1` for most of OpenAI's.
        wire: what it speaks: "openai", chat completions, or "anthropic", messages.
        off: a command for the shell that breaks its primary.
        on: a command that mends it.
        model: the name of the model that is asked for.
        key: the variable that holds the key for it; without one, none is sent.
        requests: what is asked, again and again; by default made-up questions.
        rate: requests a second.
        before: seconds until it is broken.
        lasting: seconds until it is mended.
        after: seconds it is watched from then on.
        most: requests in all, at most; the rate is lowered to fit.
        within: seconds in which good answers are to come again after it was broken.
        timeout: seconds a request may take.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        url: str,
        wire: Wire,
        off: str,
        on: str,
        *,
        model: str = "drill",
        key: str = KEY,
        requests: Sequence[Ask] | None = None,
        rate: float = 2.0,
        before: float = 10.0,
        lasting: float = 30.0,
        after: float = 60.0,
        most: int = 500,
        within: float | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Check the settings; nothing is sent."""
        if wire not in get_args(Wire):
            msg = f"a service speaks {' or '.join(get_args(Wire))}, not {wire!r}"
            raise ConfigError(msg)
        if not off.strip() or not on.strip():
            raise ConfigError("a drill of a service needs a command that breaks it and one that mends it")
        settings = {"rate": rate, "before": before, "lasting": lasting, "after": after, "timeout": timeout}
        for name, value in settings.items():
            if not 0 < value <= LONGEST:
                msg = f"a service drill's {name} must be above zero and at most {LONGEST:g}, not {value!r}"
                raise ConfigError(msg)
        if not 0 < most <= MOST:
            msg = f"a service drill makes from 1 to {MOST} requests, not {most!r}"
            raise ConfigError(msg)
        if within is not None and not within > 0:
            msg = f"a service drill's within must be above zero, not {within!r}"
            raise ConfigError(msg)
        self.url, self.wire, self.off, self.on = url, wire, off, on
        self.within, self.timeout, self.most, self.requests = within, timeout, most, requests
        self.start, self.end, self.last = before, before + lasting, before + lasting + after
        self.rate = min(rate, most / self.last)
        self.backend, self._client = _backend(url, wire, model, os.environ.get(key, "").strip())

    def run(self) -> Report:
        """Do it, in an event loop of its own."""
        return asyncio.run(self._main())

    async def _main(self) -> Report:
        loop = asyncio.get_running_loop()
        began, requests = loop.time(), asked(self.requests)

        async def one() -> Told:
            return await self._told(next(requests))

        breaking = asyncio.ensure_future(self._broken(began))
        load = asyncio.ensure_future(steadily(one, self.rate, began + self.last, self.most))
        try:
            await asyncio.wait({breaking, load}, return_when=asyncio.FIRST_EXCEPTION)
            if breaking.done():
                breaking.result()
            start, end = await breaking
            return self._report(await load, began, start, end)
        finally:
            for task in (load, breaking):
                task.cancel()
            with suppress(Exception):
                await asyncio.gather(load, breaking, return_exceptions=True)
            await self._client.close()  # it is ours, and so the backend leaves it open

    async def _broken(self, began: float) -> tuple[float, float]:
        """Break it and mend it, at their times; from when until when it was broken."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began + self.start - loop.time()))
        start = loop.time()
        try:
            await _run("break", self.off)
            await asyncio.sleep(max(0.0, began + self.end - loop.time()))
        finally:
            # Whatever went wrong, and whoever lost patience: it is not left broken.
            await asyncio.shield(asyncio.ensure_future(_run("mend", self.on)))
        return start, loop.time()

    async def _told(self, request: Any) -> Told:
        loop = asyncio.get_running_loop()
        made = Told(loop.time(), self.timeout, prompt=request.text)
        headers: dict[str, str] = {}
        _said.set(headers)  # each request is a task, with a context of its own
        try:
            async with asyncio.timeout(self.timeout):
                reply = await self.backend.complete(request)
        except BackendError as error:
            status = "" if error.failure.status is None else f" {error.failure.status}"
            made.lost = f"{error.failure.kind}{status}"
        except TimeoutError:
            made.lost = "timeout"
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller has no answer
            made.lost = type(error).__name__
        else:
            _read(made, reply, headers)
        made.ended = loop.time()
        return made

    def _report(self, all_told: list[Told], began: float, start: float, end: float) -> Report:
        home = home_of(all_told, start)
        failover, comeback = shifts_of(all_told, start, end, lambda each: each.label in home)
        phases = tuple(phases_of(all_told, began, start, end, began + self.last))
        gap = gap_of(all_told, start)
        told_apart = len({each.label for each in all_told if not each.lost}) > 1
        usual = phases[0].p99 or 0.0
        broken = [
            *invariants.lost(all_told),
            *invariants.late(all_told, virtual=False),
            *_silent(gap, self.within, usual + 1.0 / self.rate),
            *_away(all_told, home, end),
        ]
        notes = [] if told_apart else ["it does not say who answers, so that nothing is known of a failover inside"]
        return Report(
            "service",
            f"{_plain(self.url)} is broken and mended by commands",
            (),
            start - began,
            end - began,
            self.rate,
            f"in real time, over {self.wire}'s API",
            phases,
            served_of(all_told, start, end),
            failover,
            comeback,
            gap,
            notes=tuple(notes),
            broken=tuple(broken),
        )

    def __repr__(self) -> str:
        """Show where."""
        return f"ServiceDrill({_plain(self.url)!r}, {self.wire!r})"


def _silent(gap: float | None, within: float | None, slack: float) -> Iterator[str]:
    if within is None:
        return
    if gap is None:
        yield f"no answer came at all after it was broken; {within:g} s are promised"
    elif gap > within + slack:
        yield f"no answer came for {gap:.1f} s; {within:g} s are promised"


def _away(all_told: Sequence[Told], home: set[str], end: float) -> Iterator[str]:
    """The last answer is to be as those before."""
    after = [each for each in all_told if each.began >= end]
    if not home:
        yield "nothing was answered before it was broken: the drill says nothing"
    elif after and (after[-1].lost or after[-1].label not in home):
        came = f"lost ({after[-1].lost})" if after[-1].lost else f"from {after[-1].label}"
        yield f"at the end, {after[-1].began - end:.0f} s after it was mended, the last answer is {came}"


def _read(made: Told, reply: Reply | None, headers: Mapping[str, str]) -> None:
    """Who answered, and how well, as far as it is said."""
    if reply is None:
        made.lost = "an answer without a reply"
        return
    via, tier, by = (headers.get(name, "") for name in ("via", "tier", "instance"))
    made.label = via or "/".join(part for part in (tier, by) if part) or reply.model or "answered"
    made.kept = via in ("cache", "joined", "semantic")
    made.degraded = headers.get("degraded", "")
    made.ticket = headers.get("ticket", "")


async def _run(what: str, command: str) -> None:
    """Run an operator's command, and wait for it; what it has started may go on."""
    with tempfile.TemporaryFile() as output:  # not a pipe, which what it has started would hold open
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            async with asyncio.timeout(PATIENCE):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            msg = f"the command that is to {what} it took longer than {PATIENCE:g} s"
            raise ConfigError(msg) from None
        if code:
            output.seek(0)
            said = scrub(output.read().decode(errors="replace").strip()[-SHOWN:])
            msg = f"the command that is to {what} it failed with {code}: {said or 'it said nothing'}"
            raise ConfigError(msg)


def _backend(url: str, wire: Wire, model: str, key: str) -> tuple[Backend, Any]:
    """Whom to ask, and the client it asks through, which hears what the responses' headers say."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"a service's url must be like http://127.0.0.1:8080/v1, not {_plain(url)!r}"
        raise ConfigError(msg)
    hooks = {"response": [_hear]}
    # What is on this machine is not asked for by way of a proxy.
    outside = not _is_here(parts.hostname)
    if wire == "openai":
        from fastcascade.backends.openai import OpenAI  # noqa: PLC0415 - an extra
        from fastcascade.backends.openai_client import NO_KEY, sdk  # noqa: PLC0415 - as above

        library = sdk()
        http = library.DefaultAsyncHttpxClient(event_hooks=hooks, trust_env=outside)
        client = library.AsyncOpenAI(api_key=key or NO_KEY, base_url=url, http_client=http)
        return OpenAI(model, client=client, logprobs=False), client
    from fastcascade.backends.anthropic import Anthropic  # noqa: PLC0415 - as above

    library = _anthropic()
    http = library.DefaultAsyncHttpxClient(event_hooks=hooks, trust_env=outside)
    client = library.AsyncAnthropic(api_key=key or "none", base_url=url, http_client=http)
    return Anthropic(model, client=client), client


def _anthropic() -> Any:
    try:
        import anthropic  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("the Anthropic wire needs its SDK: pip install 'fastcascade[anthropic]'") from None
    return anthropic


async def _hear(response: Any) -> None:
    """Keep what a response says of its making for the request that it belongs to."""
    headers = _said.get()
    if headers is not None:
        for name, value in response.headers.items():
            if name.lower().startswith(MARK):
                headers[name.lower().removeprefix(MARK)] = str(value)


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _plain(url: str) -> str:
    """An address without a name and a password in it."""
    return scrub(url)
