from pathlib import Path

import pytest

from crosstower.errors import DataError, RunError
from crosstower.values.addresses.address import Address, address_of, anchored, place_of


def test_a_path_of_an_address_has_lost_a_slash_which_is_given_back() -> None:
    assert str(place_of(Path("s3://bucket/rows/a.parquet"))) == "s3://bucket/rows/a.parquet"
    assert str(place_of("S3://bucket/rows/")) == "s3://bucket/rows"


@pytest.mark.parametrize("text", ["rows.parquet", "/data/rows", "world:films", "a:b/c", "x/s3:/y"])
def test_paths_are_no_addresses(text: str) -> None:
    assert address_of(text) is None
    assert place_of(text) == Path(text)


def test_an_address_has_the_parts_of_a_path() -> None:
    address = Address("hdfs", "node:8020/user/rows/day=1/part.csv.gz")
    assert (address.bucket, address.key) == ("node:8020", "user/rows/day=1/part.csv.gz")
    assert (address.name, address.stem, address.suffix) == ("part.csv.gz", "part.csv", ".gz")
    assert str(address.parent / "x" / "/y/") == "hdfs://node:8020/user/rows/day=1/x/y"
    assert str(Address("s3", "bucket").parent) == "s3://bucket"


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIAKEY:hunter2@bucket/rows",
        "s3://AKIAKEY:hun/ter2@bucket/rows",
        "https://user:hunter2@host/rows.csv",
        "hdfs://hunter2@node:8020/rows",
        "https://host/rows.csv?X-Amz-Signature=hunter2",
        "az://container/rows.parquet?sv=2025-01-05&sig=hunter2",
        "s3://bucket/rows/*.csv?X-Amz-Signature=hunter2",
        Path("s3://AKIAKEY:hunter2@bucket/rows"),
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(DataError, match=r"credentials|query") as caught:
        place_of(text)
    assert "hunter2" not in str(caught.value)
    assert "AKIAKEY" not in str(caught.value)


def test_an_unknown_scheme_and_a_missing_bucket_are_refused_by_name() -> None:
    with pytest.raises(RunError, match=r"ftp://…: unknown scheme; allowed: s3://, gs://"):
        place_of("ftp://host/rows.csv", error=RunError)
    with pytest.raises(DataError, match="names no bucket"):
        place_of("s3:///rows.csv")


def test_relative_paths_start_at_the_folder_of_the_recipe_wherever_it_is() -> None:
    folder = Address("s3", "bucket/recipes")
    assert anchored("rows/a.csv", folder) == "s3://bucket/recipes/rows/a.csv"
    assert anchored("/data/a.csv", folder) == "/data/a.csv"
    assert anchored("gs://b/a.csv", folder) == anchored("gs://b/a.csv", Path("x")) == "gs://b/a.csv"
    assert anchored("a.csv", Path("/recipes")) == "/recipes/a.csv"
