import pytest

from crosstower.funnel.report import Change, Estimate, Lift
from crosstower.funnel.stages import Step
from crosstower.funnel.verdicts import found_verdict, lift_verdict, verdicts_of

UP = Change(0.21, 0.27, Estimate(0.06, 0.05, 0.07))
SAME = Change(0.21, 0.212, Estimate(0.002, -0.004, 0.008))
DOWN = Change(0.21, 0.19, Estimate(-0.02, -0.03, -0.011))


@pytest.mark.parametrize(
    ("stage", "over", "change", "words"),
    [
        (
            "retrieved",
            "popular",
            UP,
            (
                "Retrieval lifts NDCG@5 from 0.210 for popular items to 0.270 (+0.060, 95 %"
                " +0.050 to +0.070)."
            ),
        ),
        (
            "ranked",
            "retrieved",
            SAME,
            (
                "Ranking makes no significant difference: NDCG@5 is 0.210 and 0.212 after it"
                " (+0.002, 95 % -0.004 to +0.008)."
            ),
        ),
        (
            "diversified",
            "blended",
            DOWN,
            "Diversity lowers NDCG@5 from 0.210 to 0.190 (-0.020, 95 % -0.030 to -0.011).",
        ),
        (
            "without item_knn",
            "ranked",
            DOWN,
            "Without item_knn, NDCG@5 would fall to 0.190 (-0.020, 95 % -0.030 to -0.011).",
        ),
        (
            "without popular",
            "ranked",
            UP,
            "Without popular, NDCG@5 would rise to 0.270 (+0.060, 95 % +0.050 to +0.070).",
        ),
        (
            "without popular",
            "ranked",
            SAME,
            (
                "Without popular, NDCG@5 would not change significantly: 0.212 (+0.002, 95 %"
                " -0.004 to +0.008)."
            ),
        ),
        (
            "all items blended",
            "blended",
            UP,
            (
                "If retrieval missed nothing, NDCG@5 would be 0.270 blended (+0.060, 95 %"
                " +0.050 to +0.070): more candidates help."
            ),
        ),
        (
            "all items ranked",
            "ranked",
            SAME,
            (
                "If retrieval missed nothing, NDCG@5 would not change significantly: 0.212 ranked"
                " (+0.002, 95 % -0.004 to +0.008)."
            ),
        ),
        (
            "all items ranked",
            "ranked",
            DOWN,
            (
                "If retrieval returned all items, NDCG@5 would be 0.190 ranked (-0.020, 95 %"
                " -0.030 to -0.011): it removes items that are ranked too high."
            ),
        ),
        (
            "perfect order of the retrieved",
            "ranked",
            UP,
            "The best order of the candidates would reach NDCG@5 0.270.",
        ),
    ],
)
def test_what_a_stage_brings(stage: str, over: str, change: Change, words: str) -> None:
    assert lift_verdict(Lift(stage, over, {"ndcg@5": change}), "ndcg@5") == words


def test_the_share_that_retrieval_finds() -> None:
    step = Step("retrieval", lost=1, gained=0, left=2)
    words = found_verdict(step, relevant=3, candidates=200, items=1_000)
    assert words == "Retrieval finds 67 % of the relevant items among 200 of 1,000 items."


def sentences(*lifts: Lift) -> tuple[str, ...]:
    step = Step("retrieval", lost=1, gained=0, left=2)
    return verdicts_of([step], lifts, relevant=3, candidates=2, items=9, k=5)


def test_a_stage_that_hurts_comes_with_the_reason_to_doubt_it() -> None:
    assert len(sentences(Lift("ranked", "retrieved", {"ndcg@5": UP}))) == 2
    hurt = sentences(Lift("ranked", "retrieved", {"ndcg@5": DOWN}))
    assert "Labels exist only for items that were shown" in hurt[-1]
    whole = sentences(Lift("all items ranked", "ranked", {"ndcg@5": DOWN}))
    assert not any("Labels exist only" in words for words in whole)


def test_the_truth_has_sentences_of_its_own() -> None:
    changes = {"ndcg@5": DOWN, "true_value@5": UP}
    found = sentences(Lift("ranked", "retrieved", changes))
    assert found[2].startswith("Ranking lifts the true value of the first 5 from 0.210 to 0.270")
