"""The anthropic SDK with nothing over it."""

from collections.abc import Awaitable, Callable

from said import QUESTION

PACKAGE = "anthropic"


def call(url: str) -> Callable[[], Awaitable[str]]:
    import anthropic

    client = anthropic.AsyncAnthropic(base_url=url, api_key="made-up", max_retries=0)

    async def run() -> str:
        said = await client.messages.create(
            model="claude-haiku-4-5", max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
        )
        return "".join(block.text for block in said.content if block.type == "text")

    return run
