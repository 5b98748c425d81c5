from pathlib import Path

from crosstower.data.sources.iceberg_tables import newest_metadata


def test_the_newest_metadata_file_is_found_by_its_number(tmp_path: Path) -> None:
    assert newest_metadata(tmp_path) is None
    (tmp_path / "metadata").mkdir()
    for name in ("00009-b.metadata.json", "00010-a.metadata.json", "snap-99.avro"):
        (tmp_path / "metadata" / name).touch()
    assert newest_metadata(tmp_path) == tmp_path / "metadata" / "00010-a.metadata.json"
    (tmp_path / "metadata" / "v11.metadata.json").touch()  # of a catalog of files
    assert newest_metadata(tmp_path) == tmp_path / "metadata" / "v11.metadata.json"
