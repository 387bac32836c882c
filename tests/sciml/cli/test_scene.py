"""``sciml simulate SCENE.toml``."""

from pathlib import Path

import pytest

from sciml import open_dataset
from tests.sciml.cli.command import run

SCENE = """
cells = 16
duration = 0.06
frames = 4

[[bodies]]
shape = { sphere = { center = [0.5, 0.6], radius = 0.15 } }
material = { jelly = { young = 2e4 } }
velocity = [VELOCITY, 0.0]
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ball.toml"
    path.write_text(SCENE.replace("VELOCITY", "0.5"))
    return path


def test_a_scene_becomes_frames_and_pictures(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", scene) == 0
    assert "ball.h5: 4 frames of" in capsys.readouterr().out
    made = {path.name for path in Path().iterdir()}
    assert {"ball.h5", "ball.gif", "ball.png", "ball.state.safetensors"} <= made
    assert run("simulate", scene) == 2 and "is there already" in capsys.readouterr().err
    assert run("simulate", scene, "--resume", "--frames", 6) == 0
    assert open_dataset("ball.h5").lengths.tolist() == [6]
    assert run("simulate", scene, "--overwrite", "--frames", 3, "--colour", "speed", "--layout", "lagrangebench") == 0
    assert open_dataset("ball").lengths.tolist() == [3]


def test_a_run_that_breaks_down_is_drawn_as_far_as_it_came(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = scene.read_text().replace("0.5, 0.0]", "8.0, 0.0]").replace("cells", 'walls = "none"\ncells')
    scene.write_text(text.replace("frames = 4", "frames = 13"))
    assert run("simulate", scene) == 2
    said = capsys.readouterr().err
    assert "left the grid" in said and "Frames 0 to" in said
    assert Path("ball.gif").exists() and 1 < int(open_dataset("ball.h5").lengths[0]) < 13


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ball.toml", "data.h5"), "Expected a scene alone, got data.h5"),
        (("ball.toml", "--colour", "pretty"), "--colour to be one of auto, material, speed"),
        (("ball.toml", "--layout", "gns"), "--layout to be one of native, lagrangebench"),
        (("operator.safetensors", "data.h5", "--resume"), "with a scene (.toml) alone"),
        (("nowhere.toml",), "nowhere.toml: cannot be read"),
    ],
)
def test_what_does_not_go_together(
    arguments: tuple[str, ...], message: str, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("simulate", *arguments) == 2
    assert message in capsys.readouterr().err
