from crosstower.fitting.validation.finding import Finding, Validation


def test_findings_are_told_apart_by_severity() -> None:
    ones = tuple(
        Finding(check="cells", severity=severity, sentence="words")
        for severity in ("problem", "warning", "warning")
    )
    found = Validation(source="rows", rows={"train": 1}, findings=ones)
    assert (len(found.problems), len(found.of("warning")), len(found.of("note"))) == (1, 2, 0)
    assert Validation.model_validate_json(found.model_dump_json()) == found
