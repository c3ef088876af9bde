"""Caching for what is served: HTTP as RFC 9111 has it, inside the origin, without any I/O.

`HttpCache` decides and keeps; the ASGI and WSGI middleware read and write.
"""

from fastcascade.caching.http import HttpCache
from fastcascade.caching.http_records import Found, Served, Stored, Token

__all__ = ["Found", "HttpCache", "Served", "Stored", "Token"]
