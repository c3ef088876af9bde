"""A body of Responses as a request: pure translation. Tiers are asked by other formats, and nothing is stored here.

    instructions, then system and developer items  `Request.system`; `not_carried` names those that came later
    reasoning, a message, calls in a row           one turn; results of tools and the user after them, one too
    reasoning that was encrypted here              thinking, with what proves it to its provider: responses_out `sealed`
    reasoning that was encrypted by OpenAI         its summary alone; "input.encrypted_content" in `not_carried`
    text.format json_schema                        `Request.schema`; json_object and one that is lax go to OpenAI alone
    include message.output_text.logprobs           `Request.logprobs`, and so does top_logprobs
    what chat completions call the same            `options["openai"]`: metadata, service_tier, text.verbosity ...
    store, truncation, max_tool_calls ...          `not_carried`: they steer what only OpenAI's own service does
    any other parameter                            kept in `options["responses"]`, and in `not_carried`

Refused by name, with what to send instead: previous_response_id, conversation, prompt, background, item_reference (they
point at what is stored elsewhere), tools that OpenAI runs itself and items that speak of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastcascade.blocks import nothing
from fastcascade.errors import WireError
from fastcascade.messages import Message, Request, Text, Tool
from fastcascade.wire import openai_fields as field
from fastcascade.wire.chat_in import ASKS, answering, carried, sampling, schema_of, thinking
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.responses_turns import Items

__all__ = ["read"]

INSTEAD: Final = {
    "previous_response_id": "nothing is stored here: send the whole conversation as input",
    "conversation": "nothing is stored here: send the whole conversation as input",
    "prompt": "prompts are not stored here: send its text as instructions and input",
    "background": "an answer is given in the same call: leave it out, or set stream",
}
OWN: Final = frozenset({
    *("metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "service_tier"),
})  # fmt: skip
"""Parameters that chat completions have under the same name."""
STEERS: Final = frozenset({
    *("store", "truncation", "max_tool_calls", "context_management", "access_programs", "image"),
    *("prompt_cache_options", "moderation"),
})  # fmt: skip
DEFAULTS: Final = {"store": False, "truncation": "disabled"}
TOOL: Final = frozenset({"type", "name", "description", "parameters", "strict"})
"""What chat completions, by which tiers are asked, know of a function."""
SHOWN: Final = frozenset({"reasoning.encrypted_content", "message.output_text.logprobs"})


def read(body: Mapping[str, Any]) -> Asked:
    """Read a body."""
    left = {name: value for name, value in field.mapping(body, "the body").items() if value is not None}
    for name, instead in INSTEAD.items():
        if left.pop(name, False) is not False:
            field.refuse(name, f"{name} cannot be followed: {instead}")
    model = field.optional(left.pop("model", None), "model")
    stream = field.flag(left.pop("stream", None), "stream")
    left_out = [f"stream_options.{name}" for name in field.mapping(left.pop("stream_options", {}), "stream_options")]
    system = [Text(field.text(left.pop("instructions"), "instructions"))] if left.get("instructions") else []
    items = Items(system, left_out)
    items.read(left.pop("input", None))
    if not items.turns:
        raise WireError("input holds no turn of a user or an assistant: send at least one", "input")
    left_out += [name for name in ASKS if name in left]
    fields, own = _said(left, left_out)
    steers = [name for name in left if name in STEERS]
    left_out += [name for name in steers if left.pop(name) != DEFAULTS.get(name)]
    own |= {name: left.pop(name) for name in OWN if name in left}
    left_out += left
    options = {**carried(own, fields), **({"responses": left} if left else {})}
    messages = tuple(Message(role, tuple(content)) for role, content in items.turns)
    request = Request(messages, tuple(system), options=options or nothing(), **fields)
    return Asked(request, model, body, stream, usage=True, not_carried=list(dict.fromkeys(left_out)))


def _said(left: Json, left_out: list[str]) -> tuple[Json, Json]:
    """The fields of the request, and what is OpenAI's own; what is read is taken out of `left`."""
    fields: Json = {}
    own: Json = {}
    if "tools" in left or "tool_choice" in left:
        _tools(left, fields, left_out)
    sampling(left, fields, "max_output_tokens")
    if (given := left.pop("reasoning", None)) is not None:
        reasoning = dict(field.mapping(given, "reasoning"))
        if (tokens := thinking(reasoning.pop("effort", None), "reasoning.effort", own, own)) is not None:
            fields["thinking"] = tokens
        left_out += [
            f"reasoning.{name}"
            for name, value in reasoning.items()
            if value is not None and name not in ("summary", "generate_summary")
        ]
    if (given := left.pop("text", None)) is not None:
        _text(field.mapping(given, "text"), fields, own, left_out)
    include = [field.text(name, "include") for name in field.listed(left.pop("include", ()), "include")]
    left_out += [f"include {name}" for name in include if name not in SHOWN]
    most = left.pop("top_logprobs", None)
    if most is not None or "message.output_text.logprobs" in include:
        fields["logprobs"] = field.count(most or 0, "top_logprobs")
    if user := answering(left):
        fields["user"] = user
    return fields, own


def _text(given: Mapping[str, Any], fields: Json, own: Json, left_out: list[str]) -> None:
    if (form := given.get("format")) is not None:
        kind = field.named(field.mapping(form, "text.format").get("type"), "text.format.type")
        if kind == "json_schema":
            fields["schema"], same = schema_of(form, "text.format")
            if not same:
                said = {name: value for name, value in form.items() if name != "type"}
                own["response_format"] = {"type": "json_schema", "json_schema": said}
        elif kind == "json_object":
            own["response_format"] = {"type": "json_object"}
        elif kind != "text":
            field.refuse("text.format.type", "text.format.type must be text, json_schema or json_object")
    if (verbosity := given.get("verbosity")) is not None:
        own["verbosity"] = verbosity
    left_out += [f"text.{name}" for name in given if name not in ("format", "verbosity")]


def _tools(left: Json, fields: Json, left_out: list[str]) -> None:
    tools: list[Tool] = []
    for index, given in enumerate(field.listed(left.pop("tools", ()), "tools")):
        where = f"tools[{index}]"
        function = field.mapping(given, where)
        kind = field.named(function.get("type"), f"{where}.type")
        if kind != "function":
            message = f"{where}: a tool of type {kind[:40]} cannot be run by any tier: send a function in its place"
            field.refuse(f"{where}.type", message)
        strict = function.get("strict")
        left_out += [f"tools.{name}" for name, value in function.items() if name not in TOOL and value is not None]
        tools.append(field.tool(function, where, {} if strict is None else {"function": {"strict": strict}}))
    choice = left.pop("tool_choice", "auto")
    if isinstance(choice, str):
        fields["tool_choice"] = field.choice(choice, "tool_choice")
    else:
        tools = _chosen(field.mapping(choice, "tool_choice"), tools, fields)
    if tools:
        fields["tools"] = tuple(tools)


def _chosen(choice: Mapping[str, Any], tools: list[Tool], fields: Json) -> list[Tool]:
    kind = choice.get("type")
    if kind == "function":
        name = field.named(choice.get("name"), "tool_choice.name")
        fields["tool_choice"] = field.called(name, "tool_choice.name")
        return tools
    if kind != "allowed_tools":
        field.refuse("tool_choice.type", "tool_choice.type must be function or allowed_tools: tiers run no other tools")
    mode = field.named(choice.get("mode"), "tool_choice.mode")
    fields["tool_choice"] = field.choice(mode, "tool_choice.mode")
    names: set[str] = set()
    for index, each in enumerate(field.listed(choice.get("tools"), "tool_choice.tools")):
        where = f"tool_choice.tools[{index}]"
        names.add(field.optional(field.mapping(each, where).get("name"), f"{where}.name"))
    return [tool for tool in tools if tool.name in names]
