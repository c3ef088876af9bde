"""Certificates, looked at before they are served: what is wrong with them is said in one line, by file."""

import re
import ssl
from binascii import a2b_base64
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Tls

__all__ = ["UNFIT", "checked", "files"]

UNFIT: Final = (
    "the server does not take this certificate or its key: "
    "it takes RSA from 2048 bits, P-256, P-384 and Ed25519, in certificates of version 3"
)
"""What Python's own TLS takes, and the server would break off at: maybe when the old worker is told to end already."""
KINDS: Final = tuple(map(bytes.fromhex, ("2a864886f70d010101", "2a8648ce3d030107", "2b81040022", "2b6570")))
"""The names of these in a key."""
VERSION_3: Final = bytes.fromhex("a003020102")
BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END", re.DOTALL)


def checked(tls: Tls | None) -> dict[str, Any]:
    """What the server is to be told, once the files are found to be good. Raises `ConfigError`."""
    if tls is None:
        return {}
    for file in files(tls):
        _readable(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(f"{tls.cert} with {tls.key}: {_reason(error)}") from None
    if not _fits(tls):
        raise ConfigError(f"{tls.cert} with {tls.key}: {UNFIT}")
    told: dict[str, Any] = {"ssl_cert": tls.cert, "ssl_key": tls.key}
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"{tls.client_ca}: holds no certificates to verify clients by: {_reason(error)}"
            ) from None
        told |= {"ssl_ca": tls.client_ca, "ssl_client_verify": True}
    return told


def files(tls: Tls | None) -> list[Path]:
    """The files it is read from."""
    return [] if tls is None else [file for file in (tls.cert, tls.key, tls.client_ca) if file is not None]


def _readable(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or type(error).__name__}") from None


def _fits(tls: Tls) -> bool:
    """Whether the server can use what is good PEM, as far as can be seen from outside."""
    keys = [each for each in BLOCK.findall(tls.key.read_bytes()) if each[0].endswith(b"PRIVATE KEY")][:1]
    certs = [each for each in BLOCK.findall(tls.cert.read_bytes()) if each[0] == b"CERTIFICATE"][:1]
    known = all(name == b"RSA PRIVATE KEY" or any(kind in a2b_base64(said) for kind in KINDS) for name, said in keys)
    return known and all(VERSION_3 in a2b_base64(said)[:24] for _, said in certs)


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one that is not, in a file that only the server may read")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return {
            "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate was found",
        }.get(error.reason or "", "no certificate with its key in PEM")
    return str(error)
