"""The output folder of a batch job, which continues where it was stopped.

- `_job.json`: the facts of the job, written first
- `part-00000.parquet`, …: one file per partition, each whole
- `_SUCCESS`: the totals, written last

The folder is a path or an address. An address has no lock: two equal jobs write equal parts.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from crosstower.errors import RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.batch_jobs.part_files import PartFacts, read_facts
from crosstower.storage.documents import read_document
from crosstower.storage.files import write_atomic
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.remote import delete, download, exists, files_below

FORMAT = 1
JOB, SUCCESS, _LOCK = "_job.json", "_SUCCESS", ".lock"
_ELSEWHERE = "choose another folder with -o, or give --force to start over"


class JobFacts(FrozenModel):
    """Facts of a job; two jobs with the same facts write the same parts.

    `model` and `input` name the run or bundle, and the files that are read; their digests stand
    for the contents. `settings` are the options that decide the output.
    """

    format: Literal[1] = FORMAT
    job: str
    model: str
    model_digest: str
    input: str
    input_digest: str
    settings: dict[str, Any]
    partitions: int

    @property
    def digest(self) -> str:
        """Digest of the facts, of 16 hexadecimal digits, for any location of model and input."""
        plain = self.model_dump(mode="json", exclude={"model", "input"})
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class OutputFolder:
    """The output folder of a job.

    Args:
        folder: path or address of the output.
        facts: of the job.

    """

    folder: Place
    facts: JobFacts

    def part(self, number: int) -> Place:
        """Return the path or address of a part file."""
        return self.folder / f"part-{number:05d}.parquet"

    def begin(self, *, force: bool = False) -> dict[int, PartFacts]:
        """Write `_job.json`, or read the one of the same job; return its finished parts.

        Args:
            force: remove the output of another job first.

        Raises:
            RunError: the folder has other files or the output of another job, or cannot be
                written.

        """
        try:
            self._clear(everything=force and exists(self.folder / JOB))
            if not exists(self.folder / JOB):
                self._check_empty()
                text = self.facts.model_dump_json(indent=1)
                write_atomic(self.folder / JOB, text.encode())
                return {}
        except OSError as error:
            raise self._unwritable(error) from error
        self._check_same()
        found = {n: read_facts(self.part(n)) for n in range(self.facts.partitions)}
        own = self.facts.digest
        return {n: one for n, one in found.items() if one is not None and one.job == own}

    def finish(self, totals: Mapping[str, Any]) -> None:
        """Write `_SUCCESS`.

        Raises:
            RunError: it cannot be written.

        """
        text = json.dumps(totals, indent=1)
        try:
            write_atomic(self.folder / SUCCESS, text.encode())
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other jobs from the folder; the system releases the lock of a killed process.

        Raises:
            RunError: another job writes to the folder.

        """
        if isinstance(self.folder, Address):
            yield
            return
        if self.folder.is_file():
            raise RunError(f"{self.folder}: is a file; give a folder for the parts with -o")
        lock = FileLock(self.folder / _LOCK, timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{self.folder}: another job writes to this folder; wait for it, or choose another"
                " folder with -o"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"{self.folder}: cannot be written: {error.strerror or error}")

    def _check_empty(self) -> None:
        others = [name for name in self._names() if not name.startswith(".")]
        if others:
            raise RunError(
                f"{self.folder}: holds other files ({', '.join(others[:3])}), not the output of a"
                " batch job; choose another folder with -o"
            )

    def _check_same(self) -> None:
        """Reject the output of another job, and name the first difference."""
        old, new = self._stored(), self.facts
        if old.job != new.job:
            raise RunError(f"{self.folder}: holds the output of {old.job}; {_ELSEWHERE}")
        for what, name, digest in (
            ("model", "model", "model_digest"),
            ("input", "input", "input_digest"),
        ):
            before, now = getattr(old, digest), getattr(new, digest)
            if before != now:
                raise RunError(
                    f"{self.folder}: the {what} differs: {getattr(new, name)} (digest"
                    f" {now[:12]}), the finished parts are of {getattr(old, name)} (digest"
                    f" {before[:12]}); {_ELSEWHERE}"
                )
        for name in sorted(old.settings.keys() | new.settings.keys()):
            before, now = old.settings.get(name), new.settings.get(name)
            if before != now:
                raise RunError(
                    f"{self.folder}: {name} is {now!r}, the finished parts have {before!r};"
                    f" {_ELSEWHERE}"
                )

    def _clear(self, *, everything: bool) -> None:
        """Remove unfinished files of killed processes, or `everything` of an earlier job."""
        parts = [name for name in self._names() if name.startswith(("part-", ".part-"))]
        for name in [SUCCESS, *parts] if everything else []:
            self._remove(name)
        for name in parts:
            if name.startswith("."):
                self._remove(name)
        if everything:
            self._remove(JOB)  # last: until then the folder can be resumed

    def _stored(self) -> JobFacts:
        """Return the facts of the job that the folder belongs to."""
        again, path = _ELSEWHERE, self.folder / JOB
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(path, Address):
                download(path, Path(folder) / JOB)
                path = Path(folder) / JOB
            return read_document(path, JobFacts, newest=FORMAT, error=RunError, again=again)

    def _names(self) -> list[str]:
        """Return the names of the files in the folder, sorted."""
        if isinstance(self.folder, Address):
            below = len(self.folder.parts)
            found = [file.address for file in files_below(self.folder)]
            return sorted(one.name for one in found if len(one.parts) == below + 1)
        return sorted(path.name for path in self.folder.iterdir())

    def _remove(self, name: str) -> None:
        place = self.folder / name
        if isinstance(place, Address):
            delete(place)
        else:
            with suppress(FileNotFoundError):
                place.unlink()
