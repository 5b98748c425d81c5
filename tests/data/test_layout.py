"""Parts of a layout keep the order of its inputs, and all of its outputs."""

from dataclasses import replace

from crosstower.data.layout import CodeField, Head, Layout, ListField

USER, PLACE = CodeField("user", 9, "user"), CodeField("place", 5, "place")
CROSS, TAGS = CodeField("both", 7, "both", 0), ListField("tags", 6, "tags", 3)
LAYOUT = Layout(
    (USER, PLACE, CROSS),
    ("age", "slot", "slot is missing"),
    (TAGS,),
    (Head("click", "binary"),),
    ("age", "slot", "slot"),
)


def test_a_column_has_all_its_numbers() -> None:
    part = LAYOUT.only(["slot", "place"])
    assert part == Layout((PLACE,), ("slot", "slot is missing"), (), LAYOUT.heads, ("slot", "slot"))


def test_without_some_columns_the_others_stay_crosses_too() -> None:
    rest = LAYOUT.without(["slot", "place"])
    assert rest == Layout((USER, CROSS), ("age",), (TAGS,), LAYOUT.heads, ("age",))
    named = replace(LAYOUT, numbers=("age", "x"), number_columns=())
    assert named.without(["x"]).numbers == ("age",)
