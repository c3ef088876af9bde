"""Certificates, looked at before they are served: what is wrong with them is said in one line, by file."""

import ssl
from pathlib import Path
from typing import Any

from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Tls

__all__ = ["checked", "files"]


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


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one that is not, in a file that only the server may read")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return {
            "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate was found",
        }.get(error.reason or "", "no certificate with its key in PEM")
    return str(error)
