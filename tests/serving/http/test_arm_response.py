"""The response of an arm, from one list or from two."""

from crosstower.evaluation.experiments.interleaving import team_draft
from crosstower.serving.http.arm_response import Treatment
from crosstower.serving.http.schemas import RecommendRequest


def response(version: str, *items: int, notice: str = "") -> dict[str, object]:
    rows = [{"item_id": item, "rank": rank, "score": -rank} for rank, item in enumerate(items, 1)]
    notices = [notice] if notice else []
    return {"version": version, "items": rows, "notices": notices, "stages": None, "explain": {}}


def test_two_lists_become_one_with_the_teams_and_versions() -> None:
    request = RecommendRequest(user=1, k=4)
    both = Treatment("models", "mixed", (request, request), (None, "new"), ("old", "new"))
    lists = [response("a", 1, 2, 3, 4, notice="x"), response("b", 3, 5, 1, 6, notice="x")]
    found = both.response(lists, "r")
    drafted = team_draft([1, 2, 3, 4], [3, 5, 1, 6], 4, request_id="r")
    assert [(i["item_id"], i["team"]) for i in found["items"]] == [
        (item, ("old", "new")[team])
        for item, team in zip(drafted.items, drafted.teams, strict=True)
    ]
    assert [i["rank"] for i in found["items"]] == [1, 2, 3, 4]
    assert (found["version"], found["experiment"], found["arm"]) == ("a+b", "models", "mixed")
    assert found["notices"] == ["x", "explain: not returned for interleaved lists"]
    assert found["explain"] is None
    assert both.response([lists[0], lists[0]], "r")["version"] == "a"


def test_one_list_is_kept() -> None:
    one = Treatment("models", "new", (RecommendRequest(user=1),), ("new",))
    given = response("b", 7, 8)
    assert one.response([given], "r") == given | {"experiment": "models", "arm": "new"}


def test_what_a_list_has_charged_for_items_of_the_other_is_taken_back() -> None:
    request = RecommendRequest(user=1, k=4)
    both = Treatment("models", "mixed", (request, request), (None, None), ("old", "new"))
    shown = {"items": [{"item_id": 1, "team": "old"}, {"item_id": 2, "team": "new"}]}
    charges = [
        [(1, ("a", 0, 1.0)), (3, ("a", 0, 2.0)), (3, ("b", 0, 4.0))],
        [(1, ("a", 0, 1.0)), (2, ("b", 0, 4.0))],
    ]
    assert both.refunds(shown, charges) == [
        ([("a", 0, 2.0), ("b", 0, 4.0)], frozenset({"a"})),
        ([("a", 0, 1.0)], frozenset({"b"})),
    ]
    one = Treatment("models", "new", (request,), (None,))
    assert one.refunds(shown, charges[:1]) == []
