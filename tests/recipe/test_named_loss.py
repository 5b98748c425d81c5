"""A loss by name, with options or without."""

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.named_loss import NamedLoss, name_of, named, options_of, with_option


@pytest.mark.parametrize(
    ("loss", "name", "options"),
    [("jrc", "jrc", {}), (NamedLoss(name="jrc", alpha=0.9), "jrc", {"alpha": 0.9})],
)
def test_a_loss_has_a_name_and_options(
    loss: str | NamedLoss, name: str, options: dict[str, object]
) -> None:
    assert named(loss) == loss
    assert (name_of(loss), options_of(loss)) == (name, options)
    assert with_option(loss, "beta", 2) == {"name": name, **options, "beta": 2}


def test_a_mapping_keeps_its_options_and_its_newest_value() -> None:
    given = {"name": "jrc", "alpha": 0.9}
    assert named(given) is given
    assert with_option(given, "alpha", 0.5) == {"name": "jrc", "alpha": 0.5}
    assert given["alpha"] == 0.9
    assert options_of(None) == {}


@pytest.mark.parametrize("loss", [None, 7, "", {}, {"name": ""}, {"alpha": 0.9}, ["jrc"]])
def test_a_loss_without_a_name_is_none(loss: object) -> None:
    with pytest.raises(ValueError, match=r"expected a name, or {name: ..., OPTION: ...}, got"):
        named(loss)
    with pytest.raises(RecipeError):
        NamedLoss(alpha=0.9)  # type: ignore[call-arg]
