"""The words that the guard of the semantic cache knows: what may differ between two texts that ask the same.

A word that is not in these lists stands for itself alone, so an opposite needs no list: "enable" and "disable" are two
words. What is in them was weighed with the rest of the sentence equal: "erase" and "remove" are not in one line, since
one can remove a disk and not erase it.
"""

from typing import Final

__all__ = [
    "ARTICLES",
    "CONTRACTED",
    "ENGLISH",
    "FILLERS",
    "LETTERED",
    "ONE_WORD",
    "ORDERS",
    "PHRASES",
    "TIMES",
    "VERBATIM",
    "WEAK",
    "listed",
]


def listed(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


ENGLISH: Final = listed(
    "the what how why which when where who should with does would could this that you your against between before "
    "after without during from there their if than more less most many much need get make take use please did hello "
    "thanks"
)
"""Words that no other language has, or hardly."""
WEAK: Final = listed("i my do of is are for it will may was were has have can to a in on am not by and or me")
"""Words of English that others have too: two of five must be of these where there is no better sign."""
ORDERS: Final = listed(
    "delete cancel turn send give add route convert write start print answer translate summarize explain solve"
)
"""Words that a text in English may begin with."""
LETTERED: Final = listed(
    "vitamin hepatitis plan type grade class option group section appendix exhibit category influenza series part team "
    "blood schedule form column row point variant model choice answer"
)
"""Words after which an "a" is a letter."""

ARTICLES: Final = frozenset({"a", "an", "the"})
"""What is left out, but for where it makes the question: "what is a period" is not "what is the period"."""
FILLERS: Final = frozenset({"really", "actually", "basically", "kindly"})
TIMES: Final = frozenset({"today", "tomorrow", "yesterday", "tonight", "now", "currently"})

CONTRACTED: Final = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "ain't": "is not",
    "let's": "let us",
    "i'd": "i would",
    "you'd": "you would",
    "we'd": "we would",
    "they'd": "they would",
    "i'm": "i am",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "cant": "can not",
    "isnt": "is not",
    "ive": "i have",
    "whats": "what is",
    "wheres": "where is",
    "hows": "how is",
    "whos": "who is",
    "pls": "please",
    "plz": "please",
    "thx": "thanks",
}
"""Short forms, with or without their mark."""

IS: Final = ("what", "where", "who", "how", "when", "why", "that", "it", "there", "here", "which")
CONTRACTED.update({f"{word}'s": f"{word} is" for word in IS})
CONTRACTED.update({f"{word}'re": f"{word} are" for word in ("you", "we", "they", "who", "what")})
CONTRACTED.update(
    {f"{word}'ll": f"{word} will" for word in ("i", "you", "he", "she", "it", "we", "they", "what", "who")}
)
CONTRACTED.update({f"{word}'ve": f"{word} have" for word in ("i", "you", "we", "they", "who")})

_ALIKE = """
buy purchase
start begin commence launch
delete erase
fix repair
help assist
need require
allow permit
forbid prohibit
reply respond
phone telephone
photo photograph picture
car automobile
bike bicycle
movie film
television tv
refrigerator fridge
package parcel
child kid
children kids
mother mom mum
father dad
doctor physician
lawyer attorney
faster quicker
fastest quickest
large big
larger bigger
largest biggest
nearest closest
maximum max maximal
minimum min minimal
mandatory compulsory obligatory
illegal unlawful
information info
repository repo
configuration config
database db
administrator admin
email e-mail
mount mt
maybe perhaps
mobile cellphone
percent per-cent
color colour
gray grey
center centre
honor honour
favor favour
favorite favourite
behavior behaviour
neighbor neighbour
flavor flavour
labor labour
license licence
defense defence
catalog catalogue
program programme
canceled cancelled
canceling cancelling
traveling travelling
traveler traveller
labeled labelled
modeling modelling
summarize summarise
organize organise
recognize recognise
customize customise
authorize authorise
authorization authorisation
organization organisation
customization customisation
analyze analyse
optimize optimise
prioritize prioritise
categorize categorise
minimize minimise
maximize maximise
synchronize synchronise sync
apologize apologise
"""
ONE_WORD: Final = {word: line.split()[0] for line in _ALIKE.strip().splitlines() for word in line.split()[1:]}
"""Words that mean another one, whatever stands around them."""
ONE_WORD.update({"am": "is", "are": "is", "were": "was", "does": "do", "has": "have"})

PHRASES: Final = (
    ("2 factor authentication", "2fa"),
    ("e mail", "email"),
    ("turn on", "enable"),
    ("switch on", "enable"),
    ("activate", "enable"),
    ("turn off", "disable"),
    ("switch off", "disable"),
    ("deactivate", "disable"),
    ("log in", "login"),
    ("log on", "login"),
    ("sign in", "login"),
    ("log into", "login to"),
    ("sign into", "login to"),
    ("log out", "logout"),
    ("log off", "logout"),
    ("sign out", "logout"),
    ("sign up", "signup"),
    ("set up", "setup"),
    ("in order to", "to"),
    ("in place of", "instead of"),
    ("prior to", "before"),
    ("cell phone", "cellphone"),
    ("mobile phone", "cellphone"),
    ("all of", "all"),
    ("both of", "both"),
    ("a lot of", "many"),
    ("lots of", "many"),
    ("is able to", "can"),
    ("are able to", "can"),
    ("in the summer", "in summer"),
    ("in the winter", "in winter"),
    ("in the spring", "in spring"),
    ("in the autumn", "in autumn"),
)
"""Several words that mean one."""

VERBATIM: Final = listed(
    "news series species process address access status analysis basis crisis virus bonus campus menus plus bus gas "
    "lens yes us this its his hers theirs yours was has is does always perhaps sometimes towards besides unless less "
    "across alias bias atlas canvas chaos ethos focus radius corpus census consensus physics mathematics economics "
    "politics ethics athletics statistics electronics diabetes herpes rabies measles mumps sms dns css https aws ios "
    "goods customs arms glasses pants savings earnings headquarters means thanks stairs outdoors indoors overseas "
    "damages contents premises proceeds spirits manners morals remains odds blues grounds securities utilities "
    "authorities humanities facilities interests futures minutes specs "
    "as ass class pass glass grass mass boss loss cross press stress dress"
)
"""Words whose ending is no inflection, or means another thing with it than without."""
