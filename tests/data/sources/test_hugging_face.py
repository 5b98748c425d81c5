import json
from pathlib import Path

import pytest

from crosstower.data.sources.hugging_face import dataset_files, is_dataset, refuse_splits
from crosstower.errors import DataError


def test_files_come_in_the_order_of_the_dataset(tmp_path: Path) -> None:
    assert not is_dataset(tmp_path)
    files = [{"filename": f"data-{n}.arrow"} for n in (10, 9)]
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": files}))
    assert not is_dataset(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{}")
    assert is_dataset(tmp_path)
    assert dataset_files(tmp_path) == [tmp_path / "data-10.arrow", tmp_path / "data-9.arrow"]


def test_a_folder_of_no_datasets_says_so(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text("[]")
    with pytest.raises(DataError, match="holds the datasets none"):
        refuse_splits(tmp_path)
