"""A person who may see the console, and what is kept of their credential.

It is either made here, 140 random bits that are easy to type, or a password of one's own. What people choose can be
guessed, so of each its scrypt hash is kept, with the parameters that it was made by.
"""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any, Final, get_args

from fastcascade.console.asked import Person, Role
from fastcascade.errors import ConfigError

__all__ = ["COST", "LEAST", "LONGEST", "Cost", "PersonRecord", "allowed", "named", "new_secret", "typed"]

LEAST: Final = 12
"""Letters of a password of one's own."""
LONGEST: Final = 256
"""Letters that are looked at: hashing takes time by the length."""
LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u: what is mistaken for another is taken for it."""
ALIKE: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "-": "", " ": ""})
GROUPS: Final = (7, 4)
MEMORY: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What scrypt is to take: `n` times `r` times 128 bytes of memory, `p` times over."""

    n: int = 32_768
    r: int = 8
    p: int = 3

    def __post_init__(self) -> None:
        """Refuse what is too weak to be meant, or too dear for a gateway."""
        fair = all(type(each) is int for each in (self.n, self.r, self.p))
        if not (fair and self.n >= 1024 and self.n & (self.n - 1) == 0 and self.r >= 8 and 1 <= self.p <= 16):
            raise ConfigError("scrypt takes an n that is a power of two from 1024, an r from 8, and a p from 1 to 16")
        if 128 * self.n * self.r > MEMORY:
            raise ConfigError(f"scrypt may take {MEMORY} bytes of memory at most, and this is more")

    @property
    def work(self) -> int:
        """How much that is."""
        return self.n * self.r * self.p

    def hash(self, password: str, salt: bytes) -> bytes:
        """The hash. It takes long, and lets other threads run meanwhile."""
        room = 128 * self.r * (self.n + self.p + 2)
        given = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(given, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=room, dklen=32)


COST: Final = Cost()
"""32 MiB, three times over: one of those that OWASP's cheat sheet on keeping passwords takes for equally good."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What is kept of a person.

    Args:
        name: how they are called.
        role: what they may see.
        id: made anew with each credential and each role: sessions of another one have ended.
        cost: what the hash was made by.
        salt: random, one to a hash.
        hash: of the credential.
        made: whether that was made here, and so is forgiving in how it is typed.
        created: when, in seconds since 1970.
    """

    name: str
    role: Role
    id: str
    cost: Cost
    salt: bytes
    hash: bytes
    made: bool
    created: float

    @property
    def person(self) -> Person:
        """Who that is."""
        return Person(self.name, self.role)

    def fits(self, password: str) -> bool:
        """Whether this is the credential."""
        return hmac.compare_digest(self.cost.hash(typed(password, made=self.made), self.salt), self.hash)

    def written(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "name": self.name,
            "role": self.role,
            "id": self.id,
            "created": self.created,
            "made": self.made,
            "scrypt": [self.cost.n, self.cost.r, self.cost.p],
            "salt": self.salt.hex(),
            "hash": self.hash.hex(),
        }

    @classmethod
    def read(cls, said: Any) -> "PersonRecord":
        """From what stands there. Raises `ConfigError`."""
        if not isinstance(said, dict) or not isinstance(said.get("name"), str):
            raise ConfigError('a person is an object with a "name"')
        name = named(said["name"])
        try:
            n, r, p = said["scrypt"]
            cost = Cost(n, r, p)
            salt, kept = bytes.fromhex(said["salt"]), bytes.fromhex(said["hash"])
            made, created, identity = said.get("made", False), float(said.get("created", 0.0)), said["id"]
        except ConfigError as error:
            raise ConfigError(f"person {name!r}: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ConfigError(f"person {name!r}: this is no whole record; remove it, and add the person anew") from None
        if said.get("role") not in get_args(Role):
            raise ConfigError(f"person {name!r}: the role is one of {', '.join(get_args(Role))}")
        if not (len(salt) >= 16 and len(kept) == 32 and isinstance(identity, str) and identity and type(made) is bool):
            raise ConfigError(f"person {name!r}: this is no whole record; remove it, and add the person anew")
        return cls(name, said["role"], identity, cost, salt, kept, made, created)


def named(name: str) -> str:
    """A name that can be shown and typed. Raises `ConfigError`."""
    name = unicodedata.normalize("NFC", name)
    if not (1 <= len(name) <= 64 and name.isprintable() and name == name.strip()):
        raise ConfigError("a name has 1 to 64 letters that can be printed, and no space at its ends")
    return name


def allowed(password: str) -> str:
    """A password of one's own that is long enough. Raises `ConfigError`."""
    if not LEAST <= len(password) <= LONGEST:
        raise ConfigError(f"a password has at least {LEAST} letters and at most {LONGEST}")
    if len(set(password)) < 5:
        raise ConfigError("a password has at least 5 different letters")
    return password


def new_secret() -> str:
    """A credential: 140 random bits, in groups that can be read out."""
    groups, size = GROUPS
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(size)) for _ in range(groups))


def typed(password: str, *, made: bool) -> str:
    """What is hashed: the same whichever keyboard it was typed on."""
    password = unicodedata.normalize("NFKC", password[:LONGEST])
    return password.lower().translate(ALIKE) if made else password
