"""The exploration of a bundle."""

from pathlib import Path

import pytest

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.errors import BundleError, RecipeError
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.exploration import given_exploration
from crosstower.serving.bundle.live import Live

from ...fixtures.funnels import Runs


def test_a_bundle_carries_its_exploration(rentals: Runs, tmp_path: Path) -> None:
    yaml = "{kind: epsilon, epsilon: 0.25, top: 9}"
    made = make_bundle(rentals.retrieval, tmp_path / "explored", explore=yaml)
    plain = make_bundle(rentals.retrieval, tmp_path / "plain")
    expected = Epsilon(epsilon=0.25, top=9)
    assert Bundle.open(made.folder).explore == Live.open(made).explore == expected
    assert plain.explore is None
    assert made.version != plain.version


def test_a_bundle_without_candidates_has_nothing_to_draw(rentals: Runs, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="explore: needs a retrieval run"):
        make_bundle(rentals.ranking, tmp_path / "b", explore=Epsilon(epsilon=0.1))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{kind: softmax}", "'plackett_luce', 'epsilon', 'thompson'"),
        ("{kind: epsilon}", r"explore\.epsilon: Field required"),
        ("{kind: epsilon, epsilon: 2}", r"explore\.epsilon: Input should be less than or equal"),
        ("{kind: epsilon, epsilon: 0.1, tpo: 3}", r"explore\.tpo: Extra inputs"),
        ("{kind: epsilon, epsilon: 0.1, seed: 3}", r"explore\.seed: .* drawn alike"),
        ("epsilon", r"expected options with a kind, as in .* got 'epsilon'"),
        ("{epsilon: 0.1}", r"expected options with a kind"),
        ("{kind: ", "explore: not YAML"),
    ],
)
def test_a_wrong_exploration_is_refused(given: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        given_exploration(given)


def test_a_damaged_file_is_named(rentals: Runs, tmp_path: Path) -> None:
    made = make_bundle(rentals.retrieval, tmp_path / "b", explore=Epsilon(epsilon=0.1))
    (made.folder / "explore.json").write_text("{}")
    with pytest.raises(BundleError, match=r"explore\.json.*make the bundle again"):
        _ = Bundle(made.folder, made.manifest).explore
