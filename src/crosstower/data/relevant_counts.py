"""Number of relevant items that are already in the users' histories, and how they count."""

from __future__ import annotations

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.retrieval import SeenRule

_COUNTED: dict[SeenRule, str] = {
    "ignored": "never shown and not counted (retrieval.seen_relevant: ignore)",
    "missed": "never shown and counted as misses (retrieval.seen_relevant: miss)",
    "shown": "ranked and counted like all others (retrieval.exclude_seen: false)",
}


class RelevantCounts(FrozenModel):
    """Distinct relevant (query, item) pairs: all of them, and those in the user's history."""

    total: int
    seen: int
    rule: SeenRule

    def words(self) -> str:
        """Return the counts as a sentence.

        >>> RelevantCounts(total=30_431, seen=2_027, rule="ignored").words()[:58]
        '2,027 of 30,431 relevant items (6.7%) are already in the h'
        """
        share = f" ({self.seen / self.total:.1%})" if self.total else ""
        return (
            f"{self.seen:,} of {self.total:,} relevant items{share} are already in the history:"
            f" {_COUNTED[self.rule]}"
        )
