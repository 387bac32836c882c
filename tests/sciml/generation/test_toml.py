import pytest

from sciml.generation.catalogue import FAMILIES
from sciml.generation.errors import GenerationError
from sciml.generation.make import is_made
from sciml.generation.recipe import Recipe
from sciml.generation.toml_recipe import make_from_toml, read_recipe

TEXT = """
family = "euler-1d-riemann"
trajectories = 4
size = 16
frames = 2
splits = [2, 1, 1]
[parameters]
gamma = 1.6
interface = [0.4, 0.6]
"""


def test_a_recipe_is_read_from_toml_and_made(tmp_path):
    path = tmp_path / "tubes.toml"
    path.write_text(TEXT)
    expected = Recipe(
        FAMILIES["euler-1d-riemann"],
        trajectories=4,
        size=16,
        frames=2,
        splits=(2, 1, 1),
        parameters={"gamma": 1.6, "interface": (0.4, 0.6)},
    )
    assert read_recipe(path) == expected
    out = make_from_toml(path, tmp_path / "tubes.h5")
    assert is_made(expected, out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family = ", "is not TOML"),
        ("size = 16", "no family"),
        ('family = "burger-1d"', "Did you mean burgers-1d"),
        ("family = 3", "Expected a family"),
        ('family = "burgers-1d"\ntime = 3', "unknown entries time"),
        ('family = "burgers-1d"\nsize = "64"', "recipe.toml: Expected size to be a whole number"),
        ('family = "burgers-1d"\n[parameters]\nviscosity = -1.0', "viscosity > 0"),
    ],
)
def test_bad_recipes_name_the_file_and_the_entry(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(GenerationError, match=message) as caught:
        read_recipe(path)
    assert "recipe.toml" in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(GenerationError, match=r"absent.toml: cannot be read \(No such file"):
        read_recipe(tmp_path / "absent.toml")
