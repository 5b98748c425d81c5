"""The funnel as one: a retriever's candidates, ordered by a ranker, blended, made diverse."""
