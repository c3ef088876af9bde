"""How a question is dressed: the frames that the guard of the semantic cache takes for one another.

Each frame is told by its beginning, and leaves a mark in capitals of the kind of question it is: HOW, CAN, MUST... Two
texts of different marks never pass for each other. A text of no known frame keeps all of its words.
"""

import re
from typing import Final

__all__ = ["framed"]

_WHO: Final = r"(?:i|we)"  # "how do you store my data" is not "how do I store"
_SAY: Final = re.compile(r"\b(?:say|says|saying|word|words|mean|means|spell|translate|pronounce|write|type|phrase)\b")
_POLITE: Final = (
    re.compile(r"^(?:hi|hello|hey|good (?:morning|afternoon|evening))(?: there| all| team)? ?[.,;?] "),
    re.compile(
        r"(?:(?: [.,;?])+ (?:many )?\ue000?|(?: [.,;?])* \ue000)(?:thanks|thank you|Thanks|Thank you)"
        r"(?: (?:so|very) much| a lot| in advance)?(?: [.,;])*$"
    ),
    re.compile(r"^(?:ok|okay|so|well|um|excuse me|sorry|quick question) ?[,;.] "),
    re.compile(r"(?<= )please (?=\w)|(?: ,)? please(?=(?: [.?;])*$)"),
)
_FIRST: Final = re.compile(r"^please (?:, )?")
_ASIDE: Final = re.compile(
    r"^((?:in|on|for|from|at|with|without|during|after|before|if|when|by|within|under|to|yesterday|today|tomorrow)\b"
    r"(?:(?! [,.;?] ).)*) , "
    r"(?=(?:how|what|when|where|why|who|which|can|could|may|do|does|did|is|are|was|will|should|must|"
    r"enable|turn|summarize|explain|list|write|sort)\b)((?:(?! [.;?](?: |$)).)*)"
)
_ORDER: Final = (
    "tell|give|show|explain|list|translate|summarize|summarise|convert|make|create|generate|check|find|compute|"
    "calculate|describe|provide|draft|rewrite|print|sort|write|send|help"
)
_ASK: Final = "(?=(?:how|what|why|when|where|who|which) )"
_WRAPS: Final = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (rf"^(?:can|could|would|will) you (?:please )?(?:(?:tell|show) me|explain(?: to me)?) {_ASK}", ""),
        (rf"^(?:(?:tell|show) me|explain|let me know|do you know) {_ASK}", ""),
        (rf"^i (?:want|need|would like|would love) to know {_ASK}", ""),
        (r"^(?:(?:can|could|would) you )?tell me the (?!truth|story|same)", "what is the "),
        (rf"^(?:can|could|would) you (?:please )?(?=(?:{_ORDER}) )", ""),
        (rf"^i (?:want|need|would like) you to (?=(?:{_ORDER}) )", ""),
        (r"^i (?:want|would like) to (?!know|hear|see)(?=\w)", ""),
        (r"^help me (?:to )?(?=\w)", ""),
    )
)
_FOR_ME: Final = re.compile(rf"^((?:(?:can|could|would) you )?(?:{_ORDER}) .+) for me(?=(?: [.?;,])*$)")
_BEST: Final = "(?:best |right |correct |proper |usual )?"
_DO: Final = rf"(?:do {_WHO} (?:need|have) to|must {_WHO}) (?!not\b|never\b)(?=\w)"
_FRAMES: Final = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (rf"^how (?:(?:do|can|could|would|might) {_WHO}|does 1) (?:go about )?(?!not\b|never\b)(?=\w)", "HOW "),
        (r"^how to (?!not\b|never\b)", "HOW "),
        (rf"^what is the {_BEST}(?:way|process|procedure) (?:to|of|for) (?!not\b)", "HOW "),
        (rf"^what are the {_BEST}(?:ways|steps) (?:to|of|for) (?!not\b)", "HOW "),
        (rf"^what (?:do {_WHO} (?:need|have) to|must {_WHO}) do (?:in order )?to (?!not\b)", "HOW "),
        (rf"^what (?:can|could|should) {_WHO} do (?:in order )?to (?!not\b)", "HOW "),
        (rf"^(how (?:long|often|early|soon|late|much|many \w+)|when|where|what) {_DO}", r"\1 MUST "),
        (rf"^(?:can|could|may) {_WHO} (?!not\b|never\b)(?=\w)", "CAN "),
        (r"^(?:am i|are we) (?:able|allowed|permitted) to (?!not\b)", "CAN "),
        (r"^is it (?:possible|ok|okay|fine|alright)(?: for me)? to (?!not\b)", "CAN "),
        (rf"^(?:do {_WHO} (?:need|have) to|must {_WHO}|am i required to) (?!not\b)", "MUST "),
        (r"^is it necessary(?: for me)? to (?!not\b)", "MUST "),
        (rf"^(?:should|shall|ought) {_WHO} (?:to )?(?!not\b|never\b)(?=\w)", "SHOULD "),
        (r"^how much (?:do|does|will|would) (.+?) cost\b", r"PRICE \1"),
        (r"^what (?:do|does|will|would) (.+?) cost\b", r"PRICE \1"),
        (r"^how much (?:is|are) (?!\d|there|left|too|enough)(?=[\w\ue000])", "PRICE "),
        (r"^what is the (?:price|cost) of ", "PRICE "),
        (r"^what is the (month|year|week|dai|hour)ly (?:price|cost) of ((?:(?! [.?]).)+)", r"PRICE \2 per \1"),
        (r"^how (?:long|much time) (?:do|does|will|would) (.+?) take\b", r"DURATION \1"),
        (r"^how (many|much) (\w+) (?:is|are) there ", r"how \1 \2 are "),
        (r"^what (?:(?:happens|will happen|would happen) (?:if|when)|if) ", "WHATIF "),
        (r"^is (it|there|he|she) going to (?!the |a |my )", r"will \1 "),
        (r"^(?:is|are) ((?:(?! [.?]).)+?) able to ", r"can \1 "),
        (r"^is it (safe|dangerous|legal|illegal|healthy|unhealthy) to (\w+) ((?:(?! [.?]).)+)", r"is \3 \1 to \2"),
        (r"^why (is|are) ((?:\w+ ){1,4})so (?=\w+(?: [.?])*$)", r"why \1 \2"),
        (r"^what (?:do|does) (.+?) mean(?= on| in| at| for| [.?]|$)", r"MEANING \1"),
        (r"^what is the meaning of ", "MEANING "),
        (r"^what is the reason (?:that|why) ", "why "),
        (r"^for what reason ", "why "),
        (r"^(?:at )?what time (?=do|does|did|will|can|should|is the|are the)", "when "),
        (r"^which (?!of\b)(?=\w)", "what "),
    )
)  # fmt: skip
_ASKED: Final = ("how", "what", "why", "when", "where", "who", "which")
_MANNERS: Final = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (r"\b(?:may|could) (i|we)\b", r"can \1"),
        (r" a (month|year|week|day|hour|night|person)(?= [.?]| in| for|$)", r" per \1"),
        (r"\b(an? \w+) which ", r"\1 that "),
        (r"\b((?:convert|translate|merge|import|transform|change) (?:(?! [.?;]).)*?) into ", r"\1 to "),
        (r"^(?:answer|reply|respond) in (\ue000?\w+) [;,] (.+?)(?: [.?])*$", r"\2 . answer in \1"),
        (r" [?.] (?:please )?(?:answer|reply|respond) in (\ue000?\w+)(?: [.?])*$", r" . answer in \1"),
        (r"\b(?:in|as|to) (\ue000?(?:JSON|YAML|CSV|XML|HTML|json|yaml|csv|xml|html))(?= [.?]|$)", r"AS \1"),
        (r"\b(turn|switch) ((?:the |my )?(?!left|right|it)[\w]+(?: \w+)?) (on|off)\b", r"\1 \3 \2"),
    )
)
_WHY_IS: Final = re.compile(
    r"^(why|where|when|who|what) ((?:\ue000?\w+ ){1,4})(is|are|was|were)((?: \ue000?\w+)??(?= [.?]|$))"
)
_OR: Final = re.compile(
    r"(?<![^ ])((?:a|an|the|either|is|are|between|who|did|,|;) )([\w\ue000=+!<>-]+) (or|and) "
    r"((?:a |an |the )?)([\w\ue000=+!<>-]+)"
    r"(?= (?:is|are|in|on|at|for|to|of|with|the|a|an|my|win|won)\b| [.?,;]|$)"
)


def framed(text: str) -> str:
    """The text with its frame as a mark and without what is only polite. It ends with its closing mark, if any."""
    text = _stripped(text)
    for pattern, mark in _MANNERS:
        text = pattern.sub(mark, text)
    aside = _ASIDE.match(text)
    if aside is not None:
        text = f"{aside[2].rstrip()} {aside[1]} {text[aside.end() :]}".rstrip()
    for pattern, mark in _WRAPS:
        changed = pattern.sub(mark, text, count=1)
        if changed is not text and changed != text:
            text = _turned(changed) if not mark else changed
            if mark != "what is the " and not text.startswith(_ASKED):
                text = text.removesuffix(" ?")  # an order, put as a question
            break
    for pattern, mark in _FRAMES:
        match = pattern.match(text)
        if match is not None:
            text = match.expand(mark) + text[match.end() :]
            break
    if " or " in text or " between " in text:
        text = _OR.sub(_sorted, text)
    return text


def _stripped(text: str) -> str:
    if _SAY.search(text) is not None:
        return _FIRST.sub("", text)
    for pattern in _POLITE:
        text = pattern.sub("", text)
    text = _FIRST.sub("", text)
    if " for me" in text:
        text = _FOR_ME.sub(r"\1", text)
    return text


def _turned(text: str) -> str:
    """A question within a sentence, "why the sky is blue", as one by itself."""
    return _WHY_IS.sub(lambda m: f"{m[1]} {m[3]} {m[2].strip()}{m[4]}", text)


def _sorted(match: re.Match[str]) -> str:
    before, one, word, article, other = match.groups()
    if word == "and" and before != "between " and "between" not in match.string[: match.start()]:
        return match[0]
    if other < one:
        one, other = other, one
    return f"{before}{one} {word} {article}{other}"
