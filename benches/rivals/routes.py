"""`{param}` routes over four real route tables: path and method in, target and parameters out.

Every request is new: the path is a fresh str. What is right is the template that the request was made from (a literal
segment goes before a parameter); routers that take the first match in order give another answer for some, and the
table says for how many.
"""

from typing import Any

from harness import Contender, Inline, Job, timed
from inputs import requests, table
from report import run
from routers import contenders, own_router

TABLES = ("github", "github_rest", "kubernetes", "gcp_compute")


def main(quick: bool) -> dict[str, Any]:
    """One table of figures per route table."""
    tables = {}
    for name in TABLES:
        routes = table(name)
        asked = requests(routes, 2_000 if quick else 10_000)
        full = {path: found for (path, _), found in zip(asked.args, asked.expect, strict=True)}
        job = Job(name, asked.args, asked.expect, fresh=(True, False))
        rows = [
            Contender(
                "dict of full paths",
                lambda full=full: Inline("get(a)", get=full.get),
                role="limit",
                convert=lambda path, method: (path,),
                note="each path known beforehand; no method",
                may_differ=True,
            ),
            *contenders(routes),
            Contender(
                "fastcascade match, params not read",
                lambda routes=routes: own_router(routes).match,
                package="fastcascade",
                answer=lambda m: (m.target, m.params),
            ),
            Contender(
                "fastcascade lookup",
                lambda routes=routes: own_router(routes).lookup,
                package="fastcascade",
                same=lambda target, want: target == want[0],
                note="target alone",
            ),
        ]
        title = f"routes: {name}, {len(routes.routes)} routes ({routes.dropped} dropped, {routes.renamed} renamed)"
        tables[name] = timed(title, rows, job, quick)
    return tables


if __name__ == "__main__":
    run(main, __doc__)
