"""The pages of reference that are made from the code: they have all that there is, and nothing else."""

import argparse
import re
from importlib import import_module
from typing import Any, Final

import pytest

from docs_pages import DOCS, ROOT
from fastcascade import cli
from fastcascade.config.families import FAMILIES
from fastcascade.config.settings import settings_of
from fastcascade.gateway.settings import Settings
from fastcascade.telemetry.prometheus_kinds import KINDS
from fastcascade.tiers import Tier

MARKED: Final = {"settings": "reference/configuration.md", "commands": "reference/commands.md", "metrics": "operate.md"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scripts that make them, by name."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module


def test_every_setting_of_every_table_is_there(made: Any) -> None:
    """Each table and kind that the reader knows has its section, and each setting a row with what it takes."""
    maker = made("docs_settings")
    page = maker.markdown()
    tables, families = maker.tables()
    assert {each.made for each in tables} >= {Settings, Tier}
    for each in (*tables, *(kind for kinds in families.values() for kind in kinds)):
        for name in each.settings.by_name:
            assert re.search(rf"^\| `{name}` \| \S", page, re.MULTILINE), (each.place, name)
    rows = re.findall(r"^\| `\w+` \|.*$", page, re.MULTILINE)
    assert all(len(re.split(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_every_kind_of_every_family_is_there(made: Any) -> None:
    """Whatever a file can name by `kind` has a heading."""
    page = made("docs_settings").markdown()
    for family in FAMILIES.values():
        for kind in family.kinds:
            assert f'#### `kind = "{kind}"`' in page, (family.what, kind)


def test_the_links_of_a_table_lead_to_its_parts(made: Any) -> None:
    """Each link within the page has its target on the page."""
    page = made("docs_settings").markdown()
    targets = set(re.findall(r"^\((\S+)\)=$", page, re.MULTILINE))
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links and links <= targets


def test_what_docstrings_say_of_settings_is_told(made: Any) -> None:
    """Most settings of the gateway and of a tier have a description, a default, and how they are written."""
    page = made("docs_settings").markdown()
    assert re.search(r"^\| `port` \| a whole number \| `8080` \| the port", page, re.MULTILINE)
    for name in settings_of(Settings).by_name:
        row = re.search(rf"^\| `{name}` \|.*\| (.*) \|$", page, re.MULTILINE)
        assert row is not None and row[1], name


def test_every_command_and_option_is_there(made: Any) -> None:
    """The page has the help of each command, and of each command of a command, whatever the terminal."""
    page = made("docs_commands").markdown()
    for name in cli.COMMANDS:
        assert f"## `fastcascade {name}`\n" in page
        parser: Any = cli._parser(name, cli._loaded(name))  # noqa: SLF001 - what the command is made with
        for action in parser._actions:  # noqa: SLF001 - there is no other way to them
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
                options = [option for each in action.choices[name]._actions for option in each.option_strings]  # noqa: SLF001
                assert all(option in page for option in options)
    assert "## `fastcascade keys create`" in page and "\x1b" not in page


def test_every_metric_is_there(made: Any) -> None:
    """The page has a row to each family that Prometheus is told of."""
    page = made("docs_commands").metrics()
    assert all(f"| `{name}` |" in page for name in KINDS)


def test_every_public_name_is_there(made: Any) -> None:
    """Each name of each module's `__all__` is on its page, with its signature and nearly always a docstring."""
    maker = made("docs_api")
    silent = []
    for module in maker.MODULES:
        page = maker.markdown(module)
        for each in maker.names(module):
            assert re.search(rf"^:+{{py:\w+}} {re.escape(each.name)}\b", page, re.MULTILINE), (module, each.name)
            silent += [] if each.said or each.name.startswith("__") else [f"{module}.{each.name}"]
    assert len(silent) <= 25, silent
    assert "{py:method} match(path: str" in maker.markdown("fastcascade")


def test_the_names_are_those_that_can_be_imported(made: Any) -> None:
    """What is read from the sources is what the module itself lists."""
    maker = made("docs_api")
    for module in maker.MODULES:
        assert {each.name for each in maker.names(module)} == set(import_module(module).__all__), module


def test_pages_say_where_it_goes(made: Any) -> None:
    """Each thing that is made has its place on one page."""
    makers = made("docs").MAKERS
    assert makers.keys() == MARKED.keys()
    for name, page in MARKED.items():
        assert f"\n<!-- made: {name} -->\n" in (DOCS / page).read_text(encoding="utf-8")
