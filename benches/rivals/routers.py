"""The route tables of the web frameworks, each filled through its own public way and asked as its own server asks it.

Every setup takes a `Table` and returns what is timed; every answer is read as (template, params).
"""

from collections.abc import Callable
from typing import Any

from harness import Contender, Inline
from inputs import Table
from ours import fastcascade

Answer = tuple[str, dict[str, str]]


def _stub() -> Any:
    async def handler(*_: Any, **__: Any) -> None:
        return None

    return handler


def _colon(template: str, form: str) -> str:
    """`{name}` in another framework's spelling."""
    parts = [form.format(part[1:-1]) if part.startswith("{") else part for part in template.split("/")]
    return "/".join(parts)


def falcon(table: Table) -> Inline:
    from falcon.routing import CompiledRouter

    router = CompiledRouter()
    for template, methods in table.by_path.items():
        resource = type(
            "Resource", (), {f"on_{method.lower()}": lambda self, req, resp, **_: None for method in methods}
        )()
        router.add_route(template, resource)
    router.find("/")
    # find returns (resource, method_map, params, template); the method is looked up as its App does.
    return Inline("find(a)", "find(a)[1][b]", find=router.find)


def litestar(table: Table) -> Inline:
    from litestar import Litestar
    from litestar.handlers import HTTPRouteHandler

    handlers = []
    for template, methods in table.by_path.items():
        for method in methods:
            if method == "OPTIONS" and len(methods) > 1:
                continue  # it registers that by itself, for every path

            async def handler() -> None:
                return None

            path = _colon(template, "{{p_{}:str}}")  # some plain names are reserved
            code = {"status_code": 204 if method == "DELETE" else 200}
            if method == "HEAD":
                code["status_code"] = 200
            handlers.append(HTTPRouteHandler(path, http_method=[method], **code)(handler))  # type: ignore[arg-type]
    app = Litestar(route_handlers=handlers, openapi_config=None)
    return Inline("find(a, b)", find=app.asgi_router._handle_routing)


def _litestar_path(path: str, method: str) -> tuple[str, str]:
    from litestar.utils import normalize_path

    return normalize_path(path), method


def _litestar_answer(found: Any) -> Answer:
    return found[4].replace("{p_", "{").replace(":str}", "}"), {name[2:]: value for name, value in found[3].items()}


def sanic(table: Table) -> Inline:
    from sanic.router import Router

    router = Router()
    for index, (template, methods) in enumerate(table.by_path.items()):
        handler = _stub()
        handler.template = template
        router.add(_colon(template, "<{}:str>"), methods, handler, strict_slashes=True, name=f"r{index}")
    router.finalize()
    return Inline("find(a, b, None)", find=router._get)


def werkzeug(table: Table) -> Inline:
    from werkzeug.routing import Map, Rule

    rules = [Rule(_colon(path, "<{}>"), endpoint=path, methods=methods) for path, methods in table.by_path.items()]
    adapter = Map(rules).bind("localhost")
    return Inline("find(a, b)", find=adapter.match)


class _AiohttpRequest:
    __slots__ = ("method", "rel_url")

    def __init__(self, path: str, method: str) -> None:
        from yarl import URL

        self.method = method
        self.rel_url = URL.build(path=path, encoded=True)


def aiohttp(table: Table) -> Inline:
    from aiohttp.web_urldispatcher import UrlDispatcher

    router = UrlDispatcher()
    for template, methods in table.by_path.items():
        resource = router.add_resource(template)
        for method in methods:
            handler = _stub()
            handler.template = template
            resource.add_route(method, handler)
    router.freeze()
    resolve = router.resolve

    def find(request: _AiohttpRequest) -> Any:
        try:
            resolve(request).send(None)
        except StopIteration as stop:
            return stop.value
        raise RuntimeError("the resolver waited for something")

    return Inline("find(a)", find=find)


def django(table: Table) -> Inline:
    from django.conf import settings

    if not settings.configured:
        settings.configure(USE_I18N=False)
    from django.urls import path as django_path
    from django.urls.resolvers import RegexPattern, URLResolver

    urls = []
    for template in table.by_path:

        def view() -> None:
            return None

        view.template = template  # type: ignore[attr-defined]
        urls.append(django_path(_colon(template, "<str:{}>")[1:], view))
    resolver = URLResolver(RegexPattern(r"^/"), urls)
    return Inline("find(a)", find=resolver.resolve)


def _scope(path: str, method: str) -> tuple[dict[str, Any]]:
    return ({"type": "http", "path": path, "method": method, "root_path": "", "headers": []},)


def _first_full(routes: list[Any], full: Any) -> Callable[[dict[str, Any]], Any]:
    """The loop of starlette's `Router.app`, without what it does to the scope afterwards."""

    def find(scope: dict[str, Any]) -> Any:
        for route in routes:
            match, child = route.matches(scope)
            if match is full:
                return route.path, child["path_params"]
        return None

    return find


def starlette(table: Table) -> Inline:
    from starlette.routing import Match, Route

    routes = [Route(path, _stub(), methods=methods) for path, methods in table.by_path.items()]
    for route, methods in zip(routes, table.by_path.values(), strict=True):
        route.methods = set(methods)  # it adds HEAD to every GET
    return Inline("find(a)", find=_first_full(routes, Match.FULL))


def fastapi(table: Table) -> Inline:
    from fastapi.routing import APIRoute
    from starlette.routing import Match

    async def handler() -> None:
        return None

    routes = [APIRoute(path, handler, methods=methods) for path, methods in table.by_path.items()]
    return Inline("find(a)", find=_first_full(routes, Match.FULL))


def dict_trie(table: Table) -> Inline:
    """What one writes in an hour: a dict per segment, literal before param, with a way back."""
    root: dict[Any, Any] = {}
    for method, template in table.routes:
        node = root
        for part in template[1:].split("/"):
            node = node.setdefault(None if part.startswith("{") else part, {})
        names = tuple(part[1:-1] for part in template.split("/") if part.startswith("{"))
        node.setdefault(True, {})[method] = (template, names)

    def walk(node: dict[Any, Any], parts: list[str], at: int, values: list[str]) -> Any:
        while at < len(parts):
            part = parts[at]
            at += 1
            literal, wild = node.get(part), node.get(None)
            if literal is None:
                if wild is None or not part:
                    return None
                values.append(part)
                node = wild
            elif wild is None:
                node = literal
            else:
                depth = len(values)
                found = walk(literal, parts, at, values)
                if found is not None:
                    return found
                del values[depth:]
                values.append(part)
                node = wild
        return node.get(True)

    def find(path: str, method: str) -> Any:
        values: list[str] = []
        methods = walk(root, path[1:].split("/"), 0, values)
        if methods is None or method not in methods:
            return None
        template, names = methods[method]
        return template, dict(zip(names, values, strict=True))

    return Inline("find(a, b)", find=find)


def cython(table: Table) -> Inline:
    from cython_core import core

    tree = core().Tree([(path, method, path) for method, path in table.routes])
    return Inline("find(a, b)", find=tree.match)


def own_router(table: Table) -> Any:
    """fastcascade's `Router` of the table; the target is the template."""
    return fastcascade().Router({f"{method} {path}": path for method, path in table.routes})


def contenders(table: Table) -> list[Contender]:
    """All of them for one table; the limit is added by the caller, who knows the full paths."""

    def row(name: str, setup: Callable[[Table], Inline], answer: Any, **more: Any) -> Contender:
        return Contender(name, lambda: setup(table), answer=answer, **more)

    def pair(found: Any) -> Any:
        return found

    first = {"may_differ": True}
    return [
        Contender(
            "fastcascade match + params",
            lambda: Inline("m(a, b)", "m(a, b).params", m=own_router(table).match),
            package="fastcascade",
            role="ours",
            answer=lambda m: (m.target, m.params),
        ),
        row("cython tree", cython, pair, package="Cython"),
        row("dict trie, plain Python", dict_trie, pair),
        row("falcon", falcon, lambda r: (r[3], r[2]), package="falcon", may_differ=True),
        row(
            "litestar",
            litestar,
            _litestar_answer,
            package="litestar",
            convert=_litestar_path,
            same=lambda got, want: got == (want[0].rstrip("/") or "/", want[1]),
            note="its lru_cache bypassed; given the path without its last slash",
            **first,
        ),
        row("sanic", sanic, lambda r: (r[1].template, r[2]), package="sanic", note="its lru_cache bypassed", **first),
        row("werkzeug", werkzeug, pair, package="Werkzeug", **first),
        row(
            "aiohttp",
            aiohttp,
            lambda r: (r.handler.template, dict(r)),
            package="aiohttp",
            convert=lambda path, method: (_AiohttpRequest(path, method),),
            note="given a parsed URL",
            **first,
        ),
        row(
            "django",
            django,
            lambda r: (r.func.template, r.kwargs),
            package="Django",
            convert=lambda path, method: (path,),
            note="no method: its views check that",
            **first,
        ),
        row(
            "starlette",
            starlette,
            pair,
            package="starlette",
            convert=_scope,
            note="matching alone, no scope update",
            **first,
        ),
        row(
            "fastapi", fastapi, pair, package="fastapi", convert=_scope, note="matching alone, no scope update", **first
        ),
    ]
