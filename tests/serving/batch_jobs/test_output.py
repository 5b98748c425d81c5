"""The output folder: resumed by the same job, refused to others."""

import json
from dataclasses import replace
from typing import Any

import pytest

from crosstower.errors import RunError
from crosstower.serving.batch_jobs.output import JOB, SUCCESS, OutputFolder
from crosstower.serving.batch_jobs.work import write_part

from .copying import FACTS, Job


def skip(_rows: int) -> None:
    """Ignore progress."""


def test_the_same_job_goes_on(job: Job) -> None:
    assert job.output.begin() == {}
    facts = write_part(job.work, job.output, job.partitions[2], skip)
    (job.output.folder / ".part-00001.parquet.x1").write_text("of a killed process")
    assert job.output.begin() == {2: facts}
    assert not list(job.output.folder.glob(".part-*"))
    moved = replace(job.output, facts=FACTS.model_copy(update={"model": "run b", "input": "c"}))
    assert moved.begin() == {2: facts}  # the same contents at another place


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"model": "run b", "model_digest": "cc"},
            r"the model differs: run b \(digest cc\), the finished parts are of run a \(dig",
        ),
        ({"input_digest": "dd"}, r"the input differs: rows\.parquet \(digest dd\)"),
        ({"settings": {"k": 5}}, r"k is 5, the finished parts have 3; choose another folder"),
        (
            {"settings": {"k": 3, "where": "a > 1"}},
            "where is 'a > 1', the finished parts",
        ),
        ({"job": "predict"}, "holds the output of copy"),
    ],
)
def test_another_job_is_refused_by_name(job: Job, change: dict[str, Any], words: str) -> None:
    job.output.begin()
    write_part(job.work, job.output, job.partitions[0], skip)
    other = OutputFolder(job.output.folder, FACTS.model_copy(update=change))
    with pytest.raises(RunError, match=words):
        other.begin()
    assert job.output.part(0).is_file()
    assert other.begin(force=True) == {}
    assert not job.output.part(0).exists()
    assert other.begin() == {}


def test_a_file_is_not_a_folder_of_parts(job: Job) -> None:
    file = job.output.folder.with_name("lists.parquet")
    file.write_text("something else")
    output = replace(job.output, folder=file)
    with pytest.raises(RunError, match="is a file; give a folder"), output.locked():
        pass
    assert file.read_text() == "something else"


def test_a_part_of_another_job_is_written_again(job: Job) -> None:
    job.output.begin()
    write_part(job.work, job.output, job.partitions[0], skip)
    other = OutputFolder(job.output.folder, FACTS.model_copy(update={"settings": {"k": 9}}))
    write_part(job.work, other, job.partitions[1], skip)
    assert list(job.output.begin()) == [0]


def test_a_folder_of_somebody_else_is_left_alone(job: Job) -> None:
    folder = job.output.folder
    (folder / "part-00000.parquet").write_text("mine")
    for force in (False, True):
        with pytest.raises(RunError, match=r"holds other files \(part-00000\.parquet\)"):
            job.output.begin(force=force)
    assert (folder / "part-00000.parquet").read_text() == "mine"


def test_damaged_facts_are_refused(job: Job) -> None:
    job.output.begin()
    (job.output.folder / JOB).write_text("{")
    with pytest.raises(RunError, match=r"_job\.json: damaged.*--force to start over"):
        job.output.begin()


def test_one_job_at_a_time(job: Job) -> None:
    other = OutputFolder(job.output.folder, FACTS)
    with (
        job.output.locked(),
        pytest.raises(RunError, match="another job writes to this folder"),
        other.locked(),
    ):
        pass
    with other.locked():
        pass


def test_the_totals_are_written_last(job: Job) -> None:
    job.output.begin()
    assert not (job.output.folder / SUCCESS).exists()
    job.output.finish({"read": 3})
    assert json.loads((job.output.folder / SUCCESS).read_text()) == {"read": 3}


def test_a_folder_that_cannot_be_made_is_an_error(job: Job) -> None:
    job.output.folder.rmdir()
    job.output.folder.write_text("a file")
    below = replace(job.output, folder=job.output.folder / "lists")
    with pytest.raises(RunError, match="lists: cannot be written: "), below.locked():
        pass
