"""The wheel: what it installs, seen from a fresh environment outside the checkout."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PROBE = """
import importlib.util, pathlib, sys
import sciml, sciml.datasets, sciml.solvers, sciml.kernels
for module in (sciml, sciml.datasets, sciml.solvers, sciml.kernels):
    assert pathlib.Path(module.__file__).resolve().is_relative_to(pathlib.Path(sys.prefix).resolve()), module.__file__
for bare in ("datasets", "solvers", "kernels"):
    spec = importlib.util.find_spec(bare)
    assert spec is None or "sciml" not in (spec.origin or ""), (bare, spec)
from sciml.solvers.solve import solve
print("installed", sciml.__version__)
"""


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out
    )  # sdist, then the wheel from it
    return next(out.glob("sciml-*.whl"))


def test_wheel_holds_every_module_once(wheel: Path) -> None:
    import zipfile

    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    assert len(names) == len(set(names))
    for folder in ("datasets", "solvers", "kernels"):
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert {f"sciml/{module}" for module in modules} <= set(names)
    assert not [name for name in names if not name.startswith("sciml/")]


def test_wheel_installs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from the environment that runs the tests; sciml itself from the wheel alone."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
        cwd=tmp_path,
    )
    # A path file lends the dependencies without running this environment's own path files (the editable install).
    (site / "dependencies.pth").write_text(f"{Path(sys.prefix) / 'lib' / version / 'site-packages'}\n")
    assert "installed" in run(python, "-c", PROBE, cwd=tmp_path)
