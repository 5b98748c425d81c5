import numpy as np
import polars as pl

from crosstower.blending.blender import FittedBlend, fit_blend
from crosstower.blending.sentences import fallback_words
from crosstower.recipe.blend import Blend


def fitted(kinds: list[str]) -> FittedBlend:
    p = np.random.default_rng(0).random(len(kinds))
    frame = pl.DataFrame({"kind": kinds, "like__prediction": p})
    return fit_blend(Blend(weights={"like": 1}, by="kind"), {"like": "binary"}, frame)


def test_types_that_fall_back_are_named_with_most_rows_first_and_five_at_most():
    unseen = {"g": 1, None: 2, "b": 2, "a": 1000, "c": 7, "f": 1, "e": 1}
    (words,) = fallback_words(fitted(["photo"] * 60), unseen)
    assert words == (
        "1,014 test rows use the maps of all types together, because their type was missing, unseen"
        " or rare in the validation rows: 'a' (1,000), 'c' (7), 'b' (2), missing (2), 'e' (1) and"
        " 2 more."
    )


def test_small_types_are_told_first_and_nothing_where_all_are_known():
    words = fallback_words(fitted(["photo"] * 60 + ["ad"] * 3), {"ad": 1})
    assert words[0].startswith("kind: 'ad' (3) had fewer than 50 rows to fit on")
    assert words[1].endswith("in the validation rows: 'ad' (1).")
    assert fallback_words(fitted(["photo"] * 60), {}) == []
