"""A chat completion's body as a request: pure translation, the inverse of `backends.openai_wire.chat`.

What a request has no place of its own for, and what becomes of it:

    a system text after the first turn   goes before it, with the others; `not_carried` says so
    a tool's result, and the user after  one turn: that is where other providers want them
    a picture's detail, a tool's strict  kept as `extra` under "openai", and sent to no one else
    audio, a file, any other part        an `Opaque` of "openai"; a tier of another provider refuses it
    custom tools, allowed_tools          sent to OpenAI as they came; others get the functions that are allowed
    json_object, a schema that is lax    sent to OpenAI as it came (a schema is also the request's own, for all)
    an effort that has no figure         minimal is sent as low, xhigh and max as high, to all but OpenAI
    a parameter of OpenAI's own          kept in `options["openai"]`; one that is not known too, and in `not_carried`
    a participant's name                 in `not_carried`, as "messages.name"
    user, safety_identifier              `Request.user`, which is not sent to a provider; in `not_carried`
    a refusal of an earlier turn         a text
    `reasoning_content` of a turn        thinking of "openai": goes back where a tier has a `thinking_field`
    a result of role function            the result of the last call to that function

Refused by name: n above one, functions and function_call (tools say the same), and what is malformed.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastcascade.backends.openai_wire import NOT_IN_A_NAME
from fastcascade.blocks import Extra, nothing
from fastcascade.errors import WireError
from fastcascade.messages import Message, Request, Text, Tool
from fastcascade.wire import openai_fields as field
from fastcascade.wire.chat_turns import Turns
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.openai_fields import BY

__all__ = ["ASKS", "EFFORTS", "answering", "carried", "read", "sampling", "schema_of", "thinking"]

EFFORTS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768, "max": 65536}
"""Tokens to think for each effort; what the backend writes of them is the effort again, but for the three that follow.

1,024 is the least that the other provider takes."""
UNWRITTEN: Final = frozenset({"minimal", "xhigh", "max"})
OWN: Final = frozenset({
    *("audio", "frequency_penalty", "logit_bias", "metadata", "modalities", "moderation", "parallel_tool_calls"),
    *("prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    *("service_tier", "store", "verbosity", "web_search_options"),
})  # fmt: skip
"""Parameters that OpenAI knows, and a request does not."""
ASKS: Final = ("user", "safety_identifier")
"""Who asks: known here, and no matter of a provider's."""
INSTEAD: Final = {"functions": "tools", "function_call": "tool_choice"}


def read(body: Mapping[str, Any]) -> Asked:
    """Read a body."""
    left = {name: value for name, value in field.mapping(body, "the body").items() if value is not None}
    for name, instead in INSTEAD.items():
        if name in left:
            field.refuse(name, f"{name} is not read: send {instead}, which says the same")
    if field.count(left.pop("n", 1), "n", 1) > 1:
        field.refuse("n", "n must be 1: a cascade gives one answer; send the request again for another")
    model = field.optional(left.pop("model", None), "model")
    stream = field.flag(left.pop("stream", None), "stream")
    told = field.mapping(left.pop("stream_options", nothing()), "stream_options")
    turns = Turns(left.pop("messages", None))
    not_carried = [*turns.not_carried, *(name for name in ASKS if name in left)]
    fields, own = _said(left)
    not_carried += [f"stream_options.{name}" for name in told if name != "include_usage"]
    not_carried += [name for name in left if name not in OWN]
    own |= left
    request = _request(turns.messages, turns.system, fields, carried(own, fields))
    usage = field.flag(told.get("include_usage"), "stream_options.include_usage")
    return Asked(request, model, body, stream, usage, not_carried)


def answering(fields: Json) -> str:
    """Who asks, taken out of a body."""
    user = field.optional(fields.pop("user", None), "user")
    return field.optional(fields.pop("safety_identifier", None), "safety_identifier") or user


def thinking(effort: Any, where: str, own: Json, left: Json) -> int | None:
    """The tokens of an effort; one that has no figure is kept as it came."""
    if effort is None:
        return None
    tokens = EFFORTS.get(field.text(effort, where))
    if tokens is None:
        left["reasoning_effort"] = effort
    elif effort in UNWRITTEN:
        own["reasoning_effort"] = effort
    return tokens


def sampling(left: Json, fields: Json, *most: str) -> None:
    """How many tokens to write, under these names, and how to pick them."""
    for name in most:
        if name in left:
            fields["max_tokens"] = field.count(left.pop(name), name, 1)
    for name in ("temperature", "top_p"):
        if name in left:
            fields[name] = field.number(left.pop(name), name)


def _single(left: Json, fields: Json) -> Json:
    """What Anthropic is told where one call at a time is asked for: OpenAI reads `parallel_tool_calls` itself."""
    if field.flag(left.get("parallel_tool_calls", True), "parallel_tool_calls") or not fields.get("tools"):
        return {}
    choice = fields.get("tool_choice", "auto")
    if choice == "none":
        return {}
    said = {"type": choice} if choice in ("auto", "any") else {"type": "tool", "name": choice}
    return {"tool_choice": {**said, "disable_parallel_tool_use": True}}


def carried(own: Json, fields: Json) -> Extra:
    """The options of a request: for each provider what it alone is told."""
    options = {BY: own} if own else {}
    if "parallel_tool_calls" in own and (told := _single(own, fields)):
        options["anthropic"] = told
    return options or nothing()


def schema_of(given: Any, where: str) -> tuple[Mapping[str, Any], bool]:
    """The schema that an answer must fit, and whether the backend would write the rest of its words by itself."""
    format_ = field.mapping(given, where)
    schema = field.mapping(format_.get("schema"), f"{where}.schema")
    name = NOT_IN_A_NAME.sub("_", str(schema.get("title", "")))[:64] or "answer"
    same = format_.get("strict") is True and format_.get("name") == name and not format_.get("description")
    return schema, same


def _said(left: Json) -> tuple[Json, Json]:
    """The fields of the request, and what is OpenAI's own; what is read is taken out of `left`."""
    fields: Json = {}
    own: Json = {}
    if "tools" in left or "tool_choice" in left:
        _tools(left, fields, own)
    sampling(left, fields, "max_tokens", "max_completion_tokens")  # the newer name goes before the older
    if (seed := left.pop("seed", None)) is not None:
        fields["seed"] = field.count(seed, "seed", -(2**63))
    if (stop := left.pop("stop", None)) is not None:
        stops = (stop,) if isinstance(stop, str) else field.listed(stop, "stop")
        fields["stop"] = tuple(field.text(each, f"stop[{index}]") for index, each in enumerate(stops))
    if (tokens := thinking(left.pop("reasoning_effort", None), "reasoning_effort", own, left)) is not None:
        fields["thinking"] = tokens
    if (form := left.pop("response_format", None)) is not None:
        _format(field.mapping(form, "response_format"), fields, own)
    most = left.pop("top_logprobs", None)
    if field.flag(left.pop("logprobs", None), "logprobs"):
        fields["logprobs"] = 0 if most is None else field.count(most, "top_logprobs")
    elif most:
        field.refuse("top_logprobs", "top_logprobs needs logprobs: true")
    if user := answering(left):
        fields["user"] = user
    return fields, own


def _format(given: Mapping[str, Any], fields: Json, own: Json) -> None:
    kind = field.named(given.get("type"), "response_format.type")
    if kind == "json_schema":
        fields["schema"], same = schema_of(given.get("json_schema"), "response_format.json_schema")
        if not same:
            own["response_format"] = given
    elif kind != "text":
        own["response_format"] = given


def _tools(left: Json, fields: Json, own: Json) -> None:
    """Tools and the choice among them. OpenAI is told in the client's own words where a request has none for it."""
    given = field.listed(left.pop("tools", ()), "tools")
    choice = left.pop("tool_choice", "auto")
    made = {f"tools[{index}]": field.mapping(each, f"tools[{index}]") for index, each in enumerate(given)}
    tools = [_tool(each, where) for where, each in made.items() if each.get("type") == "function"]
    raw = len(tools) < len(made)
    for where, each in made.items():
        if each.get("type") not in ("function", "custom"):
            field.refuse(f"{where}.type", f"{where}.type must be function or custom")
    if isinstance(choice, str):
        fields["tool_choice"] = field.choice(choice, "tool_choice")
    else:
        picked = field.mapping(choice, "tool_choice")
        kind = picked.get("type")
        if kind == "function":
            function = field.mapping(picked.get("function"), "tool_choice.function")
            name = field.named(function.get("name"), "tool_choice.function.name")
            fields["tool_choice"] = field.called(name, "tool_choice.function.name")
        elif kind == "allowed_tools":
            allowed = field.mapping(picked.get("allowed_tools"), "tool_choice.allowed_tools")
            tools = _allowed(allowed, tools, fields)
            raw = True
        elif kind != "custom":
            field.refuse("tool_choice.type", "tool_choice.type must be function, custom or allowed_tools")
        raw = raw or kind == "custom"
    if tools:
        fields["tools"] = tuple(tools)
    if raw and given:
        own["tools"] = list(given)
        if choice != "auto":
            own["tool_choice"] = choice


def _allowed(allowed: Mapping[str, Any], tools: list[Tool], fields: Json) -> list[Tool]:
    where = "tool_choice.allowed_tools"
    fields["tool_choice"] = field.choice(field.named(allowed.get("mode"), f"{where}.mode"), f"{where}.mode")
    names: set[str] = set()
    for index, each in enumerate(field.listed(allowed.get("tools"), f"{where}.tools")):
        at = f"{where}.tools[{index}]"
        one = field.mapping(each, at)
        kind = field.named(one.get("type"), f"{at}.type")
        if kind == "function":
            function = field.mapping(one.get("function"), f"{at}.function")
            names.add(field.named(function.get("name"), f"{at}.function.name"))
    return [tool for tool in tools if tool.name in names]


def _tool(given: Mapping[str, Any], where: str) -> Tool:
    function = field.mapping(given.get("function"), f"{where}.function")
    more: Json = {name: value for name, value in given.items() if name not in ("type", "function")}
    if inner := {name: value for name, value in function.items() if name not in ("name", "description", "parameters")}:
        more["function"] = inner
    return field.tool(function, f"{where}.function", more)


def _request(messages: tuple[Message, ...], system: tuple[Text, ...], fields: Json, options: Extra) -> Request:
    if not messages:
        raise WireError("messages holds no turn of a user or an assistant: send at least one", "messages")
    return Request(messages, system, options=options, **fields)
