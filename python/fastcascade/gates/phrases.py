"""The phrases that gates look for, by language, in a small notation that is compiled when a gate is built.

A phrase is a regular expression in which a blank is any white space and `'` is either apostrophe. Whole words are
matched, but for languages written without spaces.
"""

# ruff: noqa: E501, RUF001 - a phrase is read best whole, and in its own script

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from fastcascade._core import PatternSet

__all__ = ["PHRASES", "REFUSAL_WITHIN", "Phrases", "every", "first", "pattern_of", "refusals"]

REFUSAL_WITHIN: Final = 400
"""A refusal stands at the beginning: this many characters are looked at."""
SPACELESS: Final = "\u0e00"
"""From here on come the scripts that set no spaces between words, where the edge of a word is not to be seen."""
# The edge of a word, without `\b`: over a text that is not ASCII, that makes the matcher six times slower.
BEFORE: Final = r"(?:^|\W)"
AFTER: Final = r"(?:\W|$)"
AFTER_SORRY: Final = r"[\s,.!:;、，。！-]*(?:but |aber |mais |pero |ma |mas |maar |但是?|ですが)?\s*"


@dataclass(frozen=True, slots=True)
class Phrases:
    """What one language has.

    `strong` admits to not knowing, `weak` softens. `sorry` are apologies that may precede `refusing`, by which a
    reply that refuses begins. `spaced` says whether words are set apart.
    """

    strong: tuple[str, ...]
    weak: tuple[str, ...]
    sorry: str
    refusing: tuple[str, ...]
    spaced: bool = True

    def patterns(self, kind: Literal["strong", "weak"]) -> list[str]:
        """The phrases of one kind as regular expressions."""
        before, after = (BEFORE, AFTER) if self.spaced else ("", "")
        phrases = self.strong if kind == "strong" else self.weak
        return [f"(?i){before}(?:{_notated(each)}){after}" for each in phrases]


# fmt: off
PHRASES: Final[dict[str, Phrases]] = {
    "en": Phrases(
        strong=(
            "(?:i'm|i am|we're|we are) (?:not|un)(?: ?(?:really|entirely|completely|totally|quite|fully|so|too|very|100%))? ?(?:sure|certain|confident|clear)",
            "(?:i|we) (?:don't|do not|didn't) (?:really |actually )?(?:know|remember|recall)",
            "(?:i|we) (?:can't|cannot|can not|couldn't|am unable to|are unable to) (?:be (?:sure|certain)|verify|confirm|determine|tell for sure|say for (?:sure|certain))",
            "(?:i|we) (?:have|had) no (?:idea|way of knowing|information)",
            "(?:i|we) (?:could|may|might) be (?:wrong|mistaken|misremembering)",
            "(?:please )?(?:take|treat) (?:this|that|it) with (?:a grain|a pinch) of salt",
            "(?:it's|it is) (?:unclear|uncertain|hard to say|difficult to say|impossible to say|not clear)",
            "(?:don't|do not) (?:quote me|take my word)",
            "(?:this is|that's|that is|just|only|at best) (?:just |only )?(?:a|my best) guess",
            "i'm guessing|i guess|my best guess",
            "(?:i|we) (?:would|'d)? ?(?:need|require) more (?:information|context|details?)",
        ),
        weak=(
            "maybe", "perhaps", "probably", "possibly", "presumably", "arguably", "it depends", "that depends",
            "might be", "it seems", "it appears", "seemingly", "i think", "i believe", "i suppose", "i assume",
            "i suspect", "as far as i (?:know|can tell|am aware|recall)", "to (?:the best of )?my knowledge",
            "if i (?:recall|remember)(?: correctly)?", "more or less", "not necessarily", "likely",
        ),
        sorry="(?:i'm |i am )?(?:very |so |really |truly )?sorry|i apologi[sz]e|(?:my )?apologies|unfortunately",
        refusing=(
            "(?:as an ai(?: language)?(?: model| assistant)?,? )?(?:i|we) (?:can't|cannot|can not|won't|will not|must decline to|(?:am|are) (?:unable|not able) to) (?:help|assist)(?: you)? with",
            "(?:i|we) (?:can't|cannot|can not|won't|will not|(?:am|are) (?:unable|not able) to) (?:comply|fulfil|do (?:that|this)|discuss (?:that|this)|answer (?:that|this)|continue with|engage (?:in|with)|provide (?:that|this|any|help|assistance|guidance|instructions|advice))",
            "i'm (?:unable|not able|not allowed) to (?:help|assist|comply|fulfil|do (?:that|this)|discuss|answer (?:that|this)|provide)",
            "as an ai(?: language)?(?: model| assistant)?,? i (?:can't|cannot|can not|don't have the ability|am unable|am not able|'m unable|'m not able)",
            "i must (?:decline|refuse)",
        ),
    ),
    "de": Phrases(
        strong=(
            "(?:ich bin|wir sind|bin) (?:mir|uns)?(?: da| dabei)? ?(?:nicht|un)(?: ganz| wirklich| völlig| hundertprozentig)? ?sicher",
            "(?:ich weiß|ich weiss|wir wissen)(?: es| das)? (?:leider )?nicht",
            "(?:keine ahnung|ich habe keine informationen|mir liegen keine informationen)",
            "(?:ich kann|kann ich)(?: es| das)? (?:leider )?nicht (?:mit sicherheit |sicher )?(?:sagen|bestätigen|überprüfen|beurteilen)",
            "(?:ich )?(?:könnte|kann) mich (?:auch )?(?:irren|täuschen)", "ohne gewähr",
            "das ist (?:nur )?eine vermutung", "es ist (?:unklar|schwer zu sagen)",
        ),
        weak=(
            "vielleicht", "möglicherweise", "eventuell", "wahrscheinlich", "vermutlich", "womöglich",
            "es kommt (?:ganz )?darauf an", "kommt drauf an", "es scheint", "anscheinend",
            "ich (?:glaube|denke|nehme an|vermute)", "soweit ich (?:weiß|weiss)", "meines wissens", "unter umständen",
        ),
        sorry="(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider|ich bedaure",
        refusing=(
            "(?:dabei|damit|hierbei|hiermit) (?:kann|darf|werde) ich (?:dir |ihnen )?(?:leider )?nicht (?:helfen|behilflich|dienen|weiterhelfen)",
            "(?:ich kann|kann ich|ich darf) (?:dir |ihnen )?(?:dabei|damit|hierbei|diese anfrage|diese frage) (?:leider )?nicht (?:helfen|behilflich|weiterhelfen|bearbeiten|beantworten)",
            "als (?:ki|künstliche intelligenz)(?:-\\w+)?,? (?:kann|darf) ich (?:leider )?(?:nicht|keine)",
        ),
    ),
    "fr": Phrases(
        strong=(
            "je ne suis pas (?:vraiment |tout à fait |entièrement |complètement )?(?:sûre?|certaine?)",
            "je n'en suis pas (?:sûre?|certaine?)", "je (?:ne )?(?:sais|connais) pas", "je n'en sais rien",
            "je n'ai (?:pas d'|aucune )(?:information|informations|idée)", "aucune idée",
            "je ne peux pas (?:confirmer|vérifier|affirmer|garantir)", "je (?:peux|pourrais) me tromper",
            "sous toutes réserves", "(?:c'est|il est) difficile (?:à|de) dire", "ce n'est pas clair",
        ),
        weak=(
            "peut-être", "probablement", "sans doute", "éventuellement", "vraisemblablement", "apparemment",
            "ça dépend|cela dépend", "il se peut", "il semble(?:rait)?", "je (?:pense|crois|suppose)",
            "à ma connaissance", "pour autant que je sache", "si je me souviens bien",
        ),
        sorry="(?:je suis )?(?:vraiment )?désolée?|je m'excuse|malheureusement",
        refusing=(
            "je ne (?:peux|puis|suis pas en mesure de|suis pas autorisée? à) (?:pas )?(?:vous |t')?(?:aider|assister|répondre à (?:cette|votre)|fournir|accéder à (?:cette|votre))",
            "en tant qu'(?:ia|intelligence artificielle|assistant),? je ne (?:peux|suis) pas",
        ),
    ),
    "es": Phrases(
        strong=(
            "no (?:estoy|estamos) (?:muy |del todo |completamente |totalmente )?(?:segur[oa]s?|cert[eo]s?)",
            "(?:yo )?no lo sé", "no sé", "no (?:tengo|dispongo de) (?:ni idea|idea|información)",
            "no puedo (?:confirmar|verificar|asegurar|garantizar)",
            "(?:puedo|podría) (?:estar equivocad[oa]|equivocarme)", "no (?:está|queda|es) claro",
            "es difícil (?:de )?(?:decir|saber)",
        ),
        weak=(
            "quizás?", "tal vez", "a lo mejor", "probablemente", "posiblemente", "seguramente", "supuestamente",
            "depende de", "puede (?:ser )?que", "parece que", "creo que", "pienso que", "supongo que", "que yo sepa",
            "hasta donde (?:yo )?sé", "si no recuerdo mal",
        ),
        sorry="lo siento(?: mucho)?|lo lamento|disculpa|disculpe|lamentablemente",
        refusing=(
            "no (?:puedo|podemos|estoy en condiciones de) (?:ayudar(?:te|le)?|asistir(?:te|le)?|responder a (?:esa|esta|eso)|proporcionar|cumplir)",
            "como (?:ia|inteligencia artificial|modelo de lenguaje),? no puedo",
        ),
    ),
    "it": Phrases(
        strong=(
            "non (?:sono|ne sono|siamo) (?:molto |del tutto |completamente )?(?:sicur[oaie]|cert[oaie])",
            "non (?:lo )?so", "non (?:ho|abbiamo) (?:idea|informazioni)", "non ne ho idea",
            "non posso (?:confermare|verificare|garantire)", "(?:potrei|posso) sbagliarmi", "non è chiaro",
            "è difficile (?:da )?dire",
        ),
        weak=(
            "forse", "magari", "probabilmente", "possibilmente", "presumibilmente", "eventualmente", "dipende da",
            "può darsi", "sembra che", "(?:credo|penso|suppongo) (?:che|di)", "per quanto ne so", "a quanto ne so",
            "se ricordo bene",
        ),
        sorry="mi dispiace(?: molto)?|mi scuso|scusa|scusi|purtroppo",
        refusing=(
            "non (?:posso|possiamo|sono in grado di) (?:aiutar(?:e|ti|la)|assister(?:e|ti|la)|rispondere a quest|fornire|soddisfare)",
            "come (?:ia|intelligenza artificiale|modello linguistico),? non posso",
        ),
    ),
    "pt": Phrases(
        strong=(
            "não (?:estou|tenho|estamos|temos) (?:muito |totalmente |completamente )?(?:cert[oa]|certeza|segur[oa])",
            "(?:eu )?não sei", "não (?:tenho|temos) (?:ideia|informações|informação)",
            "não (?:posso|consigo) (?:confirmar|verificar|garantir)", "posso estar (?:errad[oa]|enganad[oa])",
            "não (?:está|é) claro", "é difícil (?:de )?dizer",
        ),
        weak=(
            "talvez", "provavelmente", "possivelmente", "presumivelmente", "porventura", "depende d[eoa]s?",
            "pode ser que", "parece que", "(?:acho|acredito|penso|suponho) que", "(?:que|até onde) eu (?:saiba|sei)",
            "tanto quanto sei", "se não me engano",
        ),
        sorry="(?:sinto|lamento) muito|desculpe|desculpa|lamento|infelizmente",
        refusing=(
            "não (?:posso|consigo|podemos) (?:ajudar|ajudá-l[oa]|auxiliar|responder a ess|responder a est|fornecer|atender)",
            "como (?:uma )?(?:ia|inteligência artificial|modelo de linguagem),? não posso",
        ),
    ),
    "nl": Phrases(
        strong=(
            "(?:ik ben|we zijn|wij zijn) (?:er )?(?:niet|on)(?: helemaal| echt| volledig)? ?zeker(?: van)?",
            "(?:ik weet|wij weten|we weten) (?:het|dat) (?:helaas )?niet", "ik weet niet", "geen idee",
            "(?:ik heb|we hebben) (?:hier )?geen informatie",
            "ik kan (?:het|dat|dit) niet (?:bevestigen|controleren|met zekerheid zeggen)",
            "ik (?:kan|zou) (?:me|mij) (?:kunnen )?vergissen", "het is (?:onduidelijk|moeilijk te zeggen)",
        ),
        weak=(
            "misschien", "wellicht", "waarschijnlijk", "mogelijk", "vermoedelijk", "eventueel",
            "(?:het|dat) hangt ervan af", "het lijkt erop", "blijkbaar", "ik (?:denk|geloof|vermoed|neem aan)",
            "voor zover ik weet", "volgens mij", "als ik (?:het|me) goed (?:herinner|heb)",
        ),
        sorry="het spijt me|sorry|excuses|helaas",
        refusing=(
            "(?:daar|hier|daarmee|hiermee) kan ik (?:je |u )?(?:helaas )?niet (?:mee |bij )?helpen",
            "ik kan (?:je |u )?(?:daar|hier|hierbij|daarbij|daarmee|hiermee) (?:helaas )?niet (?:mee |bij )?helpen",
            "als (?:ai|kunstmatige intelligentie)(?:-\\w+)?,? kan ik (?:helaas )?(?:niet|geen)",
        ),
    ),
    "zh": Phrases(
        strong=(
            "我(?:也|还)?(?:不|無法|无法)(?:太|是很|能|完全)?(?:确定|確定|肯定)", "我(?:也|还|並|并)?不(?:太)?(?:知道|清楚|了解)",
            "我(?:无法|無法|不能)(?:核实|核實|验证|驗證|确认|確認|判断|判斷)", "我(?:可能|也许|也許)(?:记错|記錯|是错|是錯|有误|有誤|弄错|弄錯)",
            "(?:尚|还|還)?不(?:明确|明確|清楚)", "(?:很难|很難|难以|難以)(?:说|說|确定|確定|判断|判斷)",
            "(?:没有|沒有)(?:相关|相關|足够的|足夠的)(?:信息|資訊|资料|資料)",
        ),
        weak=(
            "也许|也許", "或许|或許", "可能", "大概", "恐怕", "应该是|應該是", "似乎", "好像", "据我所知|據我所知", "我(?:认为|認為|觉得|覺得|猜|想)",
            "(?:这|這)?取决于|取決於", "(?:视|視)情况而定|情況而定", "大约|大約",
        ),
        sorry="(?:很|非常)?抱歉|对不起|對不起|不好意思|很遗憾|很遺憾",
        refusing=(
            "我(?:无法|無法|不能|没办法|沒辦法)(?:为您|為您|帮助|幫助|协助|協助|提供|回答(?:这|這|该|該|您)|满足|滿足)",
            "作为(?:一个|一個)?(?:ai|人工智能|语言模型)[^,，。]{0,12}[,，]?我(?:无法|不能)",
            "作為(?:一個)?(?:ai|人工智慧|語言模型)[^,，。]{0,12}[,，]?我(?:無法|不能)",
        ),
        spaced=False,
    ),
    "ja": Phrases(
        strong=(
            "(?:確信|自信)(?:が|は)?(?:ありません|ない|持てません|持てない)", "(?:よく|正確には|はっきり)?(?:わかりません|分かりません|わからない|分からない)",
            "(?:存じません|存じ上げません|知りません)", "(?:確認|断言|判断)(?:は|が)?(?:できません|できない|できかねます)",
            "間違(?:って|え)(?:いる|ている)(?:かもしれ|可能性)", "(?:不明|不確か|定かでは)(?:です|な|ありません)", "情報(?:が|は)(?:ありません|不足)",
        ),
        weak=(
            "かもしれ(?:ません|ない)", "おそらく|恐らく", "たぶん|多分", "もしかすると|もしかしたら", "(?:と|だと)思(?:います|われます|う)", "でしょう", "ようです",
            "らしいです", "場合による|場合によります|によって異なります", "可能性があります", "私の知る限り",
        ),
        sorry="(?:大変)?(?:申し訳(?:ありません|ございません)|すみません|すいません|恐れ入ります)|残念ながら",
        refusing=(
            "(?:その|この|ご)?[^。\\n]{0,24}(?:お手伝い|お答え|ご提供|ご案内|対応)(?:する(?:こと)?)?(?:は|が)?(?:できません|できかねます|いたしかねます)",
            "(?:ai|人工知能)(?:である|として|の)[^。\\n]{0,24}(?:できません|できかねます)",
        ),
        spaced=False,
    ),
}
# fmt: on


def pattern_of(phrase: str) -> str:
    """A plain text as a regular expression: whatever its case and spacing, as whole words where words are spaced."""
    words = phrase.split()
    body = r"\s+".join(re.escape(word).replace("'", "['\u2019]") for word in words)
    before, after = BEFORE if _spaced(words[0][0]) else "", AFTER if _spaced(words[-1][-1]) else ""
    return f"(?i){before}{body}{after}"


@cache
def refusals() -> PatternSet:
    """How replies that refuse begin, in every language. Nothing is asked of what follows: a longer text is one too."""
    return PatternSet(
        _notated(rf"(?i)\A\W*(?:(?:{phrases.sorry}){AFTER_SORRY})?(?:{each})")
        for phrases in PHRASES.values()
        for each in phrases.refusing
    )


def every(phrases: PatternSet, text: str) -> list[int]:
    """Which patterns match. A text may hold half a surrogate pair, which no matcher takes."""
    try:
        return phrases.all(text)
    except UnicodeEncodeError:
        return phrases.all(_mended(text))


def first(phrases: PatternSet, text: str) -> int | None:
    """The first pattern that matches, likewise."""
    try:
        return phrases.first(text)
    except UnicodeEncodeError:
        return phrases.first(_mended(text))


def _mended(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _notated(phrase: str) -> str:
    return phrase.replace("'", "['\u2019]").replace(" ?", r"\s*").replace(" ", r"\s+")


def _spaced(letter: str) -> bool:
    return letter < SPACELESS and (letter.isalnum() or letter == "_")
