"""What is wrong with `[[gateway.routes]]` together: a pool that there is not, a path that cannot be read, two alike."""

import re
from typing import Any

from fastcascade._core import Router
from fastcascade.config.document import Node
from fastcascade.config.reader import Reader
from fastcascade.errors import PatternError, RouteError
from fastcascade.routing import Route

__all__ = ["checked"]


def checked(gateway: Node, reader: Reader) -> None:
    """Take note of it, each at its line. What a single setting takes has been looked at."""
    routes = gateway.value["routes"]
    if not isinstance(routes, list):
        return
    pools = gateway.value.get("pools")
    names = list(pools) if isinstance(pools, dict) else []
    tables: dict[str, list[tuple[Route[int], Node]]] = {}
    for number, told in enumerate(routes):
        if not isinstance(told, dict):
            continue
        node = gateway["routes"][number]
        to = told.get("to")
        if isinstance(to, str) and to and to not in names:
            reader.unknown(node["to"], "pool", to, names) if names else reader.mistake(
                node["to"], f"there are no pools; write [gateway.pools.{to}]"
            )
        route = _route(told, number)
        if route is not None:
            tables.setdefault(str(told.get("host", "")).lower(), []).append((route, node))
    for table in tables.values():
        _compiled(table, reader)


def _route(told: dict[str, Any], number: int) -> Route[int] | None:
    path, regex, methods = told.get("path"), told.get("regex"), told.get("methods", [])
    if not isinstance(methods, list) or not all(isinstance(each, str) for each in methods):
        return None
    try:
        if isinstance(path, str) and path and not regex:
            return Route(path, number, methods=tuple(methods) or None)
        if isinstance(regex, str) and regex and not path:
            return Route(re.compile(regex), number, methods=tuple(methods) or None)
    except re.error:
        return None  # which its own setting has told of
    return None


def _compiled(table: list[tuple[Route[int], Node]], reader: Reader) -> None:
    """Whether they can be compiled; else one after another. One that cannot is left out for those behind it."""
    try:
        Router([route for route, _ in table])
    except RouteError:
        before: list[Route[int]] = []
    else:
        return
    for route, node in table:
        key = "path" if "path" in node.value else "regex"
        try:
            Router([*before, route])
        except PatternError as error:
            reader.mistake(node[key], f"{error}; no look-around and no back-references here")
        except RouteError as error:
            reader.mistake(node[key], str(error))
        else:
            before.append(route)
