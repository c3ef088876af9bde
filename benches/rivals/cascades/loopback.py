"""A call through a real client, to a server on loopback that answers at once.

What counts is what a library costs over the SDK it rides on, in CPU time of the client's process: `over bare`. The
bare SDKs run in fastcascade's own process, so that the difference is not one between processes. pydantic-ai and
langchain hand their calls to the openai SDK as it is; litellm gives that SDK a transport of its own (aiohttp), and has
a client of its own for Anthropic's format; cascadeflow posts with httpx, without an SDK, so it may come out below it.
"""

from typing import Any

from said import GOOD
from turns import Row, Workers, timed

OPENAI, ANTHROPIC = "openai SDK, bare", "anthropic SDK, bare"
SAME = {"process": "ours"}


def _row(url: str, name: str, where: str, note: str = "", against: str = OPENAI, **more: Any) -> Row:
    return Row(name, where, (url,), expect=GOOD, against=against, note=note, **more)


def calls(url: str) -> list[Row]:
    return [
        _row(url, OPENAI, "sdk_openai:call", role="limit", against="", **SAME),
        _row(url, "fastcascade over openai", "ours:call_openai", "two tiers, gates.Hedging", role="ours"),
        _row(url, "fastcascade, a Pool of two", "ours_resilience:call_pool", "one tier, no gate", **SAME),
        _row(url, "pydantic-ai direct.model_request", "with_pydantic_ai:direct", "over the openai SDK"),
        _row(url, "pydantic-ai Agent.run", "with_pydantic_ai:agent", "over the openai SDK"),
        _row(url, "langchain ChatOpenAI.ainvoke", "with_langchain:call", "over the openai SDK"),
        _row(url, "litellm.acompletion", "with_litellm:completion"),
        _row(url, "litellm.Router", "with_litellm:router"),
        _row(url, "cascadeflow CascadeAgent", "with_cascadeflow:call", "its own httpx client; two tiers, its check"),
    ]


def anthropic_calls(url: str) -> list[Row]:
    return [
        _row(url, ANTHROPIC, "sdk_anthropic:call", role="limit", against="", **SAME),
        _row(
            url,
            "fastcascade over anthropic",
            "ours:call_anthropic",
            "two tiers, gates.Hedging",
            role="ours",
            against=ANTHROPIC,
        ),
        _row(url, "litellm.acompletion", "with_litellm:completion_anthropic", "its own client", against=ANTHROPIC),
    ]


def failovers(url: str) -> list[Row]:
    return [
        _row(url, OPENAI, "sdk_openai:failover", "two calls and an `except`", role="limit", against="", **SAME),
        _row(url, "fastcascade, a Pool of two", "ours_resilience:failover_pool", role="ours", **SAME),
        _row(url, "fastcascade, two tiers", "ours_resilience:failover_tiers", **SAME),
        _row(url, "pydantic-ai FallbackModel, direct", "with_pydantic_ai:direct_failover", "over the openai SDK"),
        _row(url, "pydantic-ai FallbackModel, Agent", "with_pydantic_ai:agent_failover", "over the openai SDK"),
        _row(url, "langchain with_fallbacks", "with_langchain:failover", "over the openai SDK"),
        _row(url, "litellm.Router fallbacks", "with_litellm:router_failover", "no retries, no cooldown"),
    ]


def escalations(url: str) -> list[Row]:
    return [
        _row(url, OPENAI, "sdk_openai:escalated", "two calls and an `if`", role="limit", against="", **SAME),
        _row(url, "fastcascade over openai", "ours:escalated_openai", "gates.Hedging", role="ours"),
        _row(url, "pydantic-ai FallbackModel, direct", "with_pydantic_ai:direct_escalated_over_http", "our check"),
        _row(url, "langchain with_fallbacks", "with_langchain:escalated_over_http", "our check, which raises"),
        _row(url, "cascadeflow CascadeAgent", "with_cascadeflow:escalated_over_http", "its own httpx client"),
    ]


def tables(workers: Workers, quick: bool, url: str) -> dict[str, Any]:
    """Each case in its table."""
    cases = {
        "one call, loopback, OpenAI's format": calls(url),
        "one call, loopback, Anthropic's format": anthropic_calls(url),
        "the first answers 500, loopback": failovers(url),
        "the first answer is too poor, loopback": escalations(url),
    }
    return {title: timed(title, rows, workers, quick) for title, rows in cases.items()}
