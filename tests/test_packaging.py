"""The wheel: what it installs, seen from a fresh environment outside the checkout."""

import shutil
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
    out, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("sources")
    # Of a copy: a build leaves notes beside the sources, by which other tests' processes would find sciml installed.
    for name in ("sciml", "datasets", "solvers", "kernels"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy]
    run(*command, cwd=out)  # sdist, then the wheel from it
    return next(out.glob("sciml-*.whl"))


def test_wheel_holds_every_module_and_kernel_once(wheel: Path) -> None:
    import zipfile

    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".py", ".cpp"))]
    assert len(names) == len(set(names))
    for folder in ("datasets", "solvers", "kernels"):
        found = [path for kind in ("py", "cpp") for path in (ROOT / folder).rglob(f"*.{kind}")]
        modules = {path.relative_to(ROOT).as_posix() for path in found}
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
    # Isolated: a PYTHONPATH of whoever runs the tests may name the checkout.
    assert "installed" in run(python, "-I", "-c", PROBE, cwd=tmp_path)
