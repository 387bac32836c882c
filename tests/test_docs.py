"""The documentation is true: its Python blocks run, its commands exist, its tables name every field.

Blocks of one page run top to bottom in one folder and share their names, as a reader would type them.
```` ```python no-run ```` marks a fragment.
"""

import inspect
import re
import shlex
import sys
import types
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from sciml.benchmark import Row
from sciml.cli import app
from sciml.cli.bench import bench
from sciml.generation.catalogue import FAMILIES
from sciml.training import FitSettings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def runnable_blocks(page):
    """(line number of its first line, code) of each block that is to run."""
    text = page.read_text(encoding="utf-8")
    found = [(text[: match.start(2)].count("\n"), match[1].strip(), match[2]) for match in FENCE.finditer(text)]
    assert all(info in ("", "no-run") for _, info, _ in found), f"unknown info string in {page.name}"
    return [(line, code) for line, info, code in found if not info]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page_under_test")  # a real one: the compiler looks names up where they were defined
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    for line, code in runnable_blocks(page):
        # Padded with empty lines, so that a traceback shows the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), names)


def test_blocks_are_found():
    assert sum(len(runnable_blocks(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def commands(page):
    """The words of each line of a code block, or of inline code, that runs sciml."""
    text = page.read_text(encoding="utf-8")
    lines = [
        line for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for line in block.split("\n")
    ]
    lines += re.findall(r"`(sciml [^`]+)`", text)
    found = [shlex.split(line, comments=True) for line in lines if re.match(r"(sciml|torchrun .* -m sciml) ", line)]
    return [words[words.index("sciml") + 1 :] for words in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    for words in commands(page):
        command = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"no command {words[0]!r}"
            command, words = command.commands[words[0]], words[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        unknown = {word for word in words if word.startswith("-")} - known
        assert not unknown, f"{command.name} has no {unknown}"


def test_commands_are_found():
    assert sum(len(commands(page)) for page in PAGES) > 10


@pytest.mark.parametrize(("name", "record"), [("benchmark.md", Row), ("training.md", FitSettings)])
def test_tables_name_every_field(name, record):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert not [field.name for field in fields(record) if f"`{field.name}`" not in text]


def test_table_of_families():
    text = (ROOT / "docs" / "generation.md").read_text(encoding="utf-8")
    for family in FAMILIES.values():
        row = re.search(rf"^\| `{family.name}` \|.*$", text, re.MULTILINE)
        assert row, f"{family.name} is not in the table"
        assert f"| {family.size}, {family.frames}, {family.dt:g} |" in row[0]


def test_defaults_of_the_benchmark():
    text = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `--([\w-]+)` \| `?([^`|]+?)`? \|", text, re.MULTILINE))
    defaults = {name: parameter.default for name, parameter in inspect.signature(bench).parameters.items()}
    assert stated
    assert {name: str(defaults[name.replace("-", "_")]) for name in stated} == stated
