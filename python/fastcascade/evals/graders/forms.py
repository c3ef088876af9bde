"""A grader that holds an answer against a JSON schema."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastcascade.evals.graders.grader import Grade, read, ungraded
from fastcascade.gates.agreement import first_json
from fastcascade.gates.schemas import Compiled, Schemas, Unusable, as_json
from fastcascade.messages import Reply, Request

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Schema"]


class Schema:
    """Right where the answer is JSON that fits a schema. It says nothing of whether what it holds is true.

    Needs `pip install 'fastcascade[schema]'`.

    Args:
        schema: the schema; without one, that of each case's own request.
        anywhere: take the first JSON value in the answer, in a fence or amid words; else it must be all of it.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None, *, anywhere: bool = False) -> None:
        """Compile the schema."""
        self._schemas = Schemas()
        self.schema = schema
        self.anywhere = anywhere
        self._own: Compiled | None = None if schema is None else self._schemas.compiled(schema)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Hold it against the schema."""
        asked = case.input
        schema = asked.schema if isinstance(asked, Request) else None
        if self._own is None and schema is None:
            return ungraded(f"case {case.id!r} has no schema, and neither has the grader")
        try:
            wrong = self._wrong(schema, read(reply))
        except Unusable as error:
            return ungraded(f"case {case.id!r}: {error}")
        return Grade(1.0, "fits the schema") if wrong is None else Grade(0.0, wrong)

    def _wrong(self, schema: Mapping[str, Any] | None, text: str) -> str | None:
        if self.anywhere:
            found = first_json(text)
            if found is None:
                return "there is no JSON in the answer"
            text = json.dumps(found[0])
        if self._own is None:
            return self._schemas.wrong(schema or {}, text, "the answer")
        return self._own.wrong(as_json(text, "the answer"), "the answer")
