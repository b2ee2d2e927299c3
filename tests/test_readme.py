"""The README's commands are the ones that are run, and the pages made from the code are up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ipctrace.tracer.schema import TABLES
from typer.main import get_command

from ipctrace.cli import app
from ipctrace.documents import PAGES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)


def test_two_commands_do_everything() -> None:
    assert len(COMMANDS) == 2
    assert COMMANDS[0].endswith("ipctrace record pipes.py")
    assert "pytest" in COMMANDS[1]


def test_the_continuous_integration_runs_the_second_one() -> None:
    assert COMMANDS[1] in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_every_command_is_named() -> None:
    commands = set(getattr(get_command(app), "commands"))  # noqa: B009
    assert commands == set(re.findall(r"\| `ipctrace (\w+)", README))


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "python -m ipctrace.documents writes them anew"
    assert f"docs/{name}" in README


def test_every_table_and_column_is_in_the_schema_page() -> None:
    page = PAGES["schema.md"]()
    for table in TABLES.values():
        section = page.split(f"## {table.name}.parquet")[1].split("\n## ")[0]
        assert [column.name for column in table.columns] == re.findall(r"^\| `(\w+)`", section, re.MULTILINE)


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert target == "docs/report.png" or (ROOT / target).is_file()
