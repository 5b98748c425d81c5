from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting.validation.finding import Finding, LabelsOfPeriod, Validation
from crosstower.fitting.validation.page import (
    render_validation_page,
    summary_words,
    write_validation_page,
)

FOUND = Validation(
    source="<clicks>.csv",
    rows={"train": 1_000, "test": 10},
    findings=(
        Finding(check="cells", severity="problem", sentence="3 bad cells", rows=("row 1: '<i>'",)),
        Finding(check="labels", severity="note", sentence="mean label 0.5"),
    ),
    periods=tuple(
        LabelsOfPeriod(start=f"2024-01-0{n}", rows=100, means={"click": n / 100, "like": None})
        for n in range(1, 4)
    ),
)


def test_the_page_shows_findings_with_rows_and_labels_over_time() -> None:
    html = render_validation_page(FOUND)
    assert "&lt;clicks&gt;.csv" in html
    assert "<i>" not in html
    for words in ("Problems", "3 bad cells", "row 1:", "Notes", "Labels over time", "2024-01-02"):
        assert words in html
    assert "Warnings" not in html
    assert html.count("Mean label of: ") == 1  # a task without labels has no plot


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write_validation_page(tmp_path / "page.html", FOUND)
    with pytest.raises(RunError, match="cannot be written"):
        write_validation_page(tmp_path, FOUND)


def test_the_summary_counts_problems_and_warnings() -> None:
    assert summary_words(FOUND) == "1 problem"
    assert summary_words(Validation(source="", rows={})) == "no problems"
    two = Finding(check="x", severity="warning", sentence="")
    assert summary_words(Validation(source="", rows={}, findings=(two, two))) == "2 warnings"
