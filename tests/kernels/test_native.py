"""Compiled kernels: kept for this user alone, made once, and done without where they cannot be had."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
import torch

from sciml.kernels import native
from sciml.kernels.bandits import native as bandits
from sciml.kernels.linear import native as linear
from sciml.kernels.material_point import native as material_point

SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for function in (native.load, native._cache_folder):
        function.cache_clear()
    yield tmp_path
    for function in (native.load, native._cache_folder):
        function.cache_clear()


def written(folder: Path, text: str) -> Path:
    path = folder / "kernel.cpp"
    path.write_text(text)
    return path


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_library_is_built_once_and_kept_for_its_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = native.load(written(cache, SOURCE))
    assert library is not None and library.answer() == 42
    folder = cache / "cache" / "sciml" / "native"
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    native.load.cache_clear()
    monkeypatch.setattr(native, "compile_library", None)  # is not needed again
    assert native.load(written(cache, SOURCE)) is not None
    assert list(folder.iterdir()) == [kept]


def test_a_folder_that_others_can_write_to_is_not_used(cache: Path) -> None:
    folder = cache / "cache" / "sciml" / "native"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert native._cache_folder() != folder


def test_without_a_compiler_there_is_no_library(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    assert native.load(written(cache, SOURCE + "// another\n")) is None


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_source_that_does_not_compile_gives_no_library_and_says_so(cache: Path) -> None:
    with pytest.warns(UserWarning, match=r"no C\+\+ kernels, torch takes their place.*error"):
        assert native.load(written(cache, "this is not C++\n")) is None


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_our_own_sources_compile() -> None:
    assert bandits.serves()
    assert linear._library() is not None
    assert material_point.serves(torch.zeros(1))


def test_they_can_be_turned_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_NATIVE", "0")
    assert native.load(written(cache, SOURCE)) is None
