"""Counts of parts that add up to the tally of one pass."""

from collections import Counter

from crosstower.data.counters.matches import CountMatch
from crosstower.data.sources.joins import JoinMatch
from crosstower.ranking.ranker import Ranker
from crosstower.serving.batch_jobs.notes import counts_of, sentences_of
from crosstower.training.run import Run


def test_a_tally_survives_as_counts(counted_run: Run) -> None:
    ranker = Ranker.open(counted_run)
    (count, *_) = counted_run.recipe.schema_.counts()
    whole = ranker.tally()
    added = Counter[str]()
    for part in (1, 2):
        tally = ranker.tally()
        for one, times in ((tally, part), (whole, part)):
            one.rows += 10 * times
            one.left_out += times
            one.skipped["age"] += times
            one.unseen.values["genre"] += 8 * times
            one.unseen.unseen["genre"] += 6 * times
        match = JoinMatch(table="a/b.parquet", on="film", rows=10 * part, found=part, keyless=1)
        tally.joins, tally.counts = (match,), (CountMatch(count, 10 * part, 0),)
        added.update(counts_of(tally, []))
    joined = JoinMatch(table="a/b.parquet", on="film", rows=30, found=3, keyless=2)
    whole.joins, whole.counts = (joined,), (CountMatch(count, 30, 0),)
    expected = [f"{sentence}." for sentence in whole.sentences()]
    assert len(expected) == 4
    assert sentences_of(added, ranker, blended=False) == expected
