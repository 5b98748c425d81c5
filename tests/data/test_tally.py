"""What is counted while rows are scored."""

from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.joins import JoinMatch
from crosstower.data.tally import Tally

from .test_unseen import SCHEMA, frame


def tally(rows: int, good: int) -> Tally:
    fit = EncoderFit(SCHEMA)
    fit.add(frame([1, 2, 3], [["a"], ["b"], []]))
    encoder, found = fit.finish(), Tally()
    found.add(rows, encoder.encode(frame([1] * good, [["a"]] * good)), encoder)
    return found


def test_rows_left_out_are_counted_by_column() -> None:
    found = tally(5, 3)
    found.skipped.update({"age": 2, "when": 1})
    assert (found.rows, found.left_out) == (5, 2)
    (sentence,) = found.warnings()
    assert sentence.startswith("2 of 5 rows are not scored")
    assert "2 bad cells in 'age', 1 bad cells in 'when'" in sentence


def test_nothing_is_said_where_all_is_as_in_training() -> None:
    assert tally(3, 3).warnings() == []


def test_joins_with_few_keys_are_warned_of_and_others_told() -> None:
    found = tally(3, 3)
    low = JoinMatch(table="users", on="user", rows=100, found=3, keyless=0)
    well = JoinMatch(table="films", on="film", rows=100, found=100, keyless=0)
    found.joins = (low, well)
    assert found.warnings() == [low.sentence]
    assert found.sentences() == [well.sentence, low.sentence]
