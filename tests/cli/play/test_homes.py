"""The recipes of the shop of homes: no stage knows users, so that new visitors are served alike."""

from pathlib import Path

from crosstower.cli.play.homes import shop_homes


def test_no_stage_reads_the_user_and_both_learn_from_live_clicks() -> None:
    retrieval, ranking = shop_homes(Path("rows.parquet"), Path("homes.parquet"))
    for recipe in (retrieval, ranking):
        assert "user_id" not in recipe.schema_.columns
        assert recipe.data.path == "rows.parquet"
    assert retrieval.retrieval
    assert retrieval.retrieval.items == "homes.parquet"
    assert retrieval.retrieval.history.column == "history"
    counted = {count.by for count in ranking.schema_.counts()}
    assert counted == {("user_id", "landscape"), ("user_id",)}
    assert {name for count in ranking.schema_.counts() for name in count.events} == {"click"}
