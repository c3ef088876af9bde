"""Reports: what a cascade costs and is worth on one's own cases, as a page, as Markdown and as JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fastcascade.errors import ConfigError
from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_html import html_of
from fastcascade.evals.report_text import json_of, markdown_of

__all__ = ["ReportData", "html_of", "json_of", "kind_of", "markdown_of", "write_report"]

KINDS: Final[Mapping[str, Callable[[ReportData], str]]] = {".html": html_of, ".md": markdown_of, ".json": json_of}


def kind_of(path: str | Path) -> Callable[[ReportData], str]:
    """What writes the kind of report that the end of a name asks for."""
    if (kind := KINDS.get(Path(path).suffix.lower())) is None:
        raise ConfigError(f"{path} must end in {', '.join(KINDS)}: that says what kind of report to write")
    return kind


def write_report(data: ReportData, path: str | Path) -> Path:
    """Write a report as the end of its name says: `.html`, `.md` or `.json`. Gives back where it is."""
    path = Path(path)
    text = kind_of(path)(data)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    return path
