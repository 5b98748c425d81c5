"""Fixed lists of items."""

import pytest

from crosstower.errors import DataError, RecipeError
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.fixed import FixedOptions, FixedSource
from crosstower.retrieval.sources.source_rows import SourceRows


def test_a_list_keeps_its_order(film_rows: SourceRows) -> None:
    options = FixedOptions(items=("f09", "f02"))
    source = FixedSource(options, FixedSource.fit(options, film_rows))
    ((places, scores),) = source.parts(SourceQuery())
    assert film_rows.items.ids.gather(places).to_list() == ["f09", "f02"]
    assert scores.tolist() == [1.0, 0.5]


def test_wrong_lists_are_refused(film_rows: SourceRows) -> None:
    with pytest.raises(DataError, match="'f99' is not in the catalogue of 32 items"):
        FixedSource.fit(FixedOptions(items=("f01", "f99")), film_rows)
    with pytest.raises(DataError, match="'f01' occurs twice"):
        FixedSource.fit(FixedOptions(items=("f01", "f01")), film_rows)
    with pytest.raises(RecipeError, match="items"):
        FixedOptions(items=())
