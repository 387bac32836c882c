"""Every Python block of the documentation runs, file by file, top to bottom, in a folder of its own.

Blocks of one page share their names, as a reader would type them. ```` ```python no-run ```` marks a fragment.
"""

import re
from pathlib import Path

import pytest

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
    names = {"__name__": "docs"}
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
