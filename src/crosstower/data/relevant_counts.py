"""How many answers of an evaluation are items that the user already had, and how they count."""

from __future__ import annotations

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.retrieval import SeenRule

_COUNTED: dict[SeenRule, str] = {
    "ignored": "never shown and not counted (retrieval.seen_answers: ignore)",
    "missed": "never shown and counted as misses (retrieval.seen_answers: miss)",
    "shown": "ranked and counted like all others (retrieval.exclude_seen: false)",
}


class AnswerCounts(FrozenModel):
    """Distinct (question, item) pairs to find: all of them, and those that the user already had."""

    total: int
    seen: int
    rule: SeenRule

    def words(self) -> str:
        """Return the counts as a sentence.

        >>> AnswerCounts(total=30_431, seen=2_027, rule="ignored").words()[:58]
        '2,027 of 30,431 answers (6.7%) are items that the user alr'
        """
        share = f" ({self.seen / self.total:.1%})" if self.total else ""
        return (
            f"{self.seen:,} of {self.total:,} answers{share} are items that the user already had:"
            f" {_COUNTED[self.rule]}"
        )
