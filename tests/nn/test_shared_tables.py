from crosstower.data.layout import RESERVED_CODES, CodeField, ListField
from crosstower.nn.shared_tables import (
    CodeRows,
    Place,
    code_rows_of,
    grouped_by_width,
    places_of_tables,
    reserved_rows,
)

CITY, TAG = CodeField("city", 10, "city"), CodeField("tag", 20, "tags", dim=8)
TAGS, HOME = ListField("tags", 20, "tags", length=5), CodeField("home", 10, "city")


def test_tables_of_one_width_lie_one_after_another_and_fields_share_their_table() -> None:
    places, rows = places_of_tables([CITY, TAG, HOME, TAGS], 4)
    assert places == {"city": Place("4", 0), "tags": Place("8", 0)}
    assert rows == {"4": 10, "8": 20}
    other = CodeField("country", 7, "country")
    places, rows = places_of_tables([CITY, other], 4)
    assert (places["country"], rows) == (Place("4", 10), {"4": 17})
    assert reserved_rows(places) == {"4": [range(RESERVED_CODES), range(10, 10 + RESERVED_CODES)]}
    assert code_rows_of([CITY, other, HOME], places) == {
        "tables.4": [CodeRows("city", 0, 10), CodeRows("country", 10, 7)]
    }
    assert grouped_by_width([(0, CITY), (3, other)], places) == {"4": ([0, 3], [0, 10])}
