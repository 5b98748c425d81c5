"""Another blend for one request, and blends that cannot be."""

import numpy as np
import pytest
from scipy.special import ndtri

from crosstower.errors import QueryError
from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from .test_online_funnel import funnel_of


def test_another_blend_orders_by_its_own_score(live: Live) -> None:
    override = Override({"click": 2.0, "booking": -1.0}, "identity", "")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    expected = 2 * found.predictions["click"] - found.predictions["booking"]
    np.testing.assert_allclose(found.score, expected, rtol=1e-6)
    override = Override({"click": 1.0}, "probit", "")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    np.testing.assert_allclose(found.score, ndtri(found.predictions["click"]), rtol=1e-5)
    own = funnel_of(live).recommend(FunnelRequest(user=5, k=10))
    same = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=Override()))
    assert own.places.tolist() == same.places.tolist()


def test_a_blend_by_type_is_fitted_on_the_rows_of_the_bundle(bundle: Bundle, live: Live) -> None:
    rows = bundle.held_out()
    assert rows is not None
    override = Override({"click": 1.0}, "percentile", "city")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    assert found.types is not None
    for i in (0, 20, 49):
        mine = rows.filter(city=found.types.text()[i])["click__prediction"].to_numpy()
        x = found.predictions["click"][i]
        share = ((mine < x * (1 - 5e-6)).sum() + (mine <= x * (1 + 5e-6)).sum()) / 2 / len(mine)
        assert found.score[i] == pytest.approx(share)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (Override({"clicks": 1.0}), "no task 'clicks'; did you mean 'click'"),
        (Override({"click": 0.0}), "at least one weight must differ from 0"),
        (Override({"click": 1.0}, "root"), "no transform 'root'"),
        (Override({"click": 1.0}, by="country"), "blend.by: 'country' is not a content type"),
    ],
)
def test_a_blend_that_cannot_be(live: Live, override: Override, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        funnel_of(live).recommend(FunnelRequest(user=5, blend=override))
