"""The import rule: kernels and datasets import nothing of ours, solvers kernels alone, sciml everything."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "kernels": {"kernels"},
    "datasets": {"datasets"},
    "solvers": {"solvers", "kernels"},
    "sciml": {"sciml", "datasets", "solvers", "kernels"},
}


def files_of(folder: str) -> list[Path]:
    """The folder's modules; the links inside sciml/ are counted where they point."""
    found = (ROOT / folder).rglob("*.py")
    return [path for path in found if not any(parent.is_symlink() for parent in path.parents)]


def folder_of(module: str) -> str | None:
    """Which of our folders an absolute module name belongs to."""
    parts = module.split(".")
    if parts[0] != "sciml":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "sciml"


def arrows(path: Path) -> list[tuple[str, int]]:
    """(folder, line) of every import of ours in a file; a relative import that leaves the folder counts as sciml."""
    top = path.relative_to(ROOT).parts[0]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(folder_of(alias.name), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "sciml" else [node.module]
            found += [(folder_of(name), node.lineno) for name in names]
        elif isinstance(node, ast.ImportFrom):
            depth = len(path.relative_to(ROOT).parts) - 1
            found.append((top if node.level <= depth else "sciml", node.lineno))
    return [(folder, line) for folder, line in found if folder is not None]


@pytest.mark.parametrize("folder", ALLOWED)
def test_no_arrow_runs_up(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in files_of(folder)
        for target, line in arrows(path)
        if target not in ALLOWED[folder]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ALLOWED)
def test_no_bare_names(folder: str) -> None:
    """`import datasets` is another package's."""
    for path in files_of(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & {"datasets", "solvers", "kernels"}, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] not in {"datasets", "solvers", "kernels"}, path


def test_the_walk_sees_arrows(tmp_path: Path) -> None:
    """The rule can fail: a planted arrow is found."""
    planted = ROOT / "kernels" / "__init__.py"
    source = planted.read_text() + "\nfrom sciml.solvers.solve import solve\nimport sciml.datasets\n"
    tree = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom | ast.Import)]
    names = {folder_of(getattr(node, "module", None) or node.names[0].name) for node in tree}
    assert names >= {"solvers", "datasets"}
