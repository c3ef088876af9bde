"""A URL of Redis taken apart: where it is, how to come in, and never a word of it in an error."""

import ssl
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from fastcascade.errors import ConfigError

__all__ = ["SCHEMES", "Kind", "Place", "Target"]

Kind: TypeAlias = Literal["one", "sentinel", "cluster"]
Place: TypeAlias = tuple[str, int]
"""Host and port; or the path of a socket, and 0."""

SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("one", False),
    "rediss": ("one", True),
    "unix": ("one", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
PORTS: Final[dict[Kind, int]] = {"one": 6379, "sentinel": 26379, "cluster": 6379}
OPTIONS: Final = ("ca", "cert", "key", "db", "sentinel_user", "sentinel_password")
FORMS: Final = (
    "redis://user:password@host:6379/0, rediss://..., unix:///path, redis+sentinel://host:26379,other/name/0 or "
    "redis+cluster://host:7000,other:7001"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go, and with what. Its `repr` shows no user and no password."""

    kind: Kind
    places: tuple[Place, ...]
    database: int = 0
    service: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sentinel_user: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> "Target":
        """Take a URL apart. What is wrong with it is a `ConfigError` that shows nothing of it."""
        try:
            parts = urlsplit(url)
            options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            _refuse("it cannot be taken apart")
        if parts.scheme not in SCHEMES:
            _refuse("its scheme is none of ours")
        if parts.fragment:
            _refuse("it has a #, which stands as %23 in a password")
        kind, tls = SCHEMES[parts.scheme]
        login, at, hosts = parts.netloc.rpartition("@")
        user, colon, password = login.partition(":")
        if at and not colon:
            _refuse("what stands before its @ is to be user:password, or :password")
        given = _options(options)
        if parts.scheme == "unix":
            if hosts or not parts.path.strip("/"):
                _refuse("a unix socket is to be as unix:///path/of/socket, with three slashes")
            places: tuple[Place, ...] = ((unquote(parts.path), 0),)
            database, service = _number(given.get("db", "0")), ""
        else:
            places = tuple(_place(each, PORTS[kind]) for each in hosts.split(","))
            database, service = _path(kind, parts.path, given)
        if kind == "one" and len(places) > 1:
            _refuse("it names several hosts, which only redis+sentinel:// and redis+cluster:// take")
        return cls(
            kind,
            places,
            database,
            service,
            tls,
            given.get("ca", ""),
            given.get("cert", ""),
            given.get("key", ""),
            unquote(user),
            unquote(password),
            given.get("sentinel_user", ""),
            given.get("sentinel_password", ""),
        )

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if (self.ca or self.cert or self.key) and not self.tls:
            _refuse("ca, cert and key are for TLS: rediss://")
        if bool(self.cert) is not bool(self.key):
            _refuse("cert and key go together")
        if (self.sentinel_user or self.sentinel_password) and self.kind != "sentinel":
            _refuse("sentinel_user and sentinel_password are for redis+sentinel://")
        if self.user and not self.password:
            _refuse("it has a user without a password")

    @property
    def where(self) -> str:
        """What it points to, without user and password."""
        hosts = ",".join(written(each) for each in self.places)
        if not self.places[0][1]:
            return hosts
        if self.kind == "cluster":
            return hosts
        return f"{hosts}/{self.service}/{self.database}" if self.service else f"{hosts}/{self.database}"

    def context(self) -> ssl.SSLContext | None:
        """How TLS is spoken: certificates and the names of hosts are always checked. None without it."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ValueError):
            raise ConfigError(f"the file of authorities for Redis, ca={self.ca}, cannot be read") from None
        try:
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError):
            raise ConfigError(f"the certificate for Redis, cert={self.cert}, cannot be read with its key") from None
        return context


def written(place: Place) -> str:
    """A place as people write it."""
    host, port = place
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _options(given: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(given)
    if len(found) < len(given):
        _refuse("an option stands in it twice")
    if not found.keys() <= set(OPTIONS):
        _refuse(f"an option in it is none of {', '.join(OPTIONS)}")
    return found


def _path(kind: Kind, path: str, given: dict[str, str]) -> tuple[int, str]:
    words = [unquote(each) for each in path.strip("/").split("/")] if path.strip("/") else []
    if kind == "sentinel":
        if not words or len(words) > 2 or not words[0]:
            _refuse("Sentinel's URL ends in the name of what it watches, as /mymaster or /mymaster/0")
        return _number(words[1] if len(words) > 1 else given.get("db", "0")), words[0]
    if kind == "cluster":
        if words not in ([], ["0"]) or given.get("db", "0") != "0":
            _refuse("a cluster has no databases")
        return 0, ""
    if len(words) > 1:
        _refuse("its path is to be the number of a database")
    return _number(words[0] if words else given.get("db", "0")), ""


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        _refuse("its database is to be a number")
    return int(text)


def _place(text: str, port: int) -> Place:
    """One host with its port: `host`, `host:1`, `[::1]`, `[::1]:1`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _refuse("the address of a host is to be as [::1] or [::1]:6379")
        said = rest[1:] if rest else str(port)
    else:
        host, colon, said = text.partition(":")
        said = said if colon else str(port)
    host = unquote(host)
    if not host or any(each.isspace() or each in "/?#@" for each in host):
        _refuse("it lacks a host, or has one that cannot be")
    if not (said.isascii() and said.isdigit() and 0 < int(said[:6]) < 65_536):
        _refuse("a port in it is no number from 1 to 65535")
    return host, int(said)


def _refuse(what: str) -> NoReturn:
    raise ConfigError(
        f"the URL of Redis cannot be used: {what}. It is to be as {FORMS}; it is not shown here"
    ) from None
