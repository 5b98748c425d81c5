"""The catalogue of the holiday homes: always the same, with titles that tell homes apart."""

from crosstower.data.datasets.worlds.holiday_catalogue import (
    FEATURES,
    HOMES,
    LANDSCAPES,
    holiday_homes_table,
)


def test_the_catalogue_stays_the_same_and_titles_are_unique() -> None:
    homes = holiday_homes_table()
    assert homes.equals(holiday_homes_table())
    assert homes["title"].n_unique() == homes["home_id"].n_unique() == HOMES
    assert max(homes["title"].str.len_chars()) < 40


def test_every_landscape_has_equally_many_homes_and_pictures_show_it() -> None:
    homes = holiday_homes_table()
    assert homes["landscape"].value_counts()["count"].to_list() == [HOMES / len(LANDSCAPES)] * 6
    for landscape, picture, title in homes.select("landscape", "picture", "title").iter_rows():
        shown, kind, hour = picture.split()
        assert shown == landscape
        assert f" {kind} in " in title
        assert hour in ("morning", "day", "evening")


def test_numbers_are_those_of_a_holiday_home() -> None:
    homes = holiday_homes_table()
    assert homes["rating"].is_between(3.4, 5.0).all()
    assert homes["photos"].is_between(1, 5).all()
    assert homes["price"].is_between(15, 900).all()
    assert set(homes["features"].explode().drop_nulls()) == set(FEATURES)
