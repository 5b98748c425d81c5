"""Numbered folders of versions, and the attempts that fill them.

A folder holds a version only if the journal says "published" (`state/version_log.py`). So a process
may be killed at any instant: the next `Versions.open` finds the attempt that has begun without an
end, and removes its folder. A version at an address is filled on this machine and then uploaded.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from crosstower.errors import CrosstowerError, ServeError
from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.retraining.figures import Verdict
from crosstower.serving.retraining.history import History, Version, version_of
from crosstower.serving.retraining.version_folders import (
    BUNDLE,
    GATE,
    begin,
    existing,
    keep,
    names_in,
    prepare,
    remove,
)
from crosstower.serving.state.state import State
from crosstower.serving.state.version_log import Entry, VersionEvent
from crosstower.storage.files import write_atomic
from crosstower.values.addresses.address import Place, absolute_path, place_of

KEEP = 5
_OVERTAKEN = "another bundle went live while this version was made; start again"


class Versions:
    """The versions of one bundle in one folder; `Versions.open` keeps other retrainings out.

    Args:
        folder: of the versions; a path or an address.
        state: of the server.
        base: the bundle of the command line, number 0.
        keep: number of published versions to keep.

    """

    def __init__(self, folder: Place, state: State, base: Path, keep: int) -> None:
        self.folder, self._state, self._base, self._keep = folder, state, base, keep
        self._base_version = version_of(base)
        self._locks = ExitStack()

    @classmethod
    def open(
        cls, folder: str | Place, state: State, *, base: str | Place, keep: int = KEEP
    ) -> Self:
        """Lock the versions of a state, and remove the files of interrupted attempts.

        Args:
            folder: of the versions, a path or an address; created if it is missing.
            state: of the server.
            base: the bundle of the command line, number 0.
            keep: number of published versions to keep, at least 2.

        Raises:
            ServeError: another retraining uses the state, the folder cannot be written or the
                store not be reached, or the state serves a version of another bundle.
            BundleError: there is no bundle `base`.

        """
        if keep < 2:
            raise ServeError(
                f"keep: expected at least 2 versions, the live one and the one before, got {keep}"
            )
        place = place_of(folder, error=ServeError)
        place = place.absolute() if isinstance(place, Path) else place
        found = cls(place, state, absolute_path(Path(str(base))), keep)
        try:
            found._lock()
            found.history().check_base()
            found._clean()
        except BaseException:
            found.close()
            raise
        return found

    def history(self) -> History:
        """Return the journal as it is now."""
        return History.of(self._state, self._base)

    def live(self) -> Version:
        """Return the version that the server serves, or will serve when it starts."""
        return self.history().live

    @contextmanager
    def attempt(self) -> Generator[Attempt]:
        """Begin the next version; an error within the block ends it as failed.

        Raises:
            ServeError: the folder cannot be created, or the disk is full; the live version stays.

        """
        attempt = Attempt(self, self._next_number(), self._state.bundle())
        self.note("begun", attempt)
        try:
            attempt.make_folder()
            yield attempt
            attempt.check_finished()
        except OSError as error:
            reason = f"{error.filename or attempt.place}: {error.strerror or error}"
            self._give_up(attempt, "failed", reason)
            raise ServeError(
                f"version {attempt.number} was not created: {reason}; the live version stays. Free"
                " space or repair the disk, then start again"
            ) from error
        except BaseException as error:
            stopped = not isinstance(error, Exception)
            reason = "stopped before it finished" if stopped else f"{error}" or type(error).__name__
            self._give_up(attempt, "interrupted" if stopped else "failed", reason)
            raise

    def note(
        self, event: VersionEvent, attempt: Attempt, detail: Mapping[str, Any] | None = None
    ) -> Entry:
        """Append a line about an attempt to the journal."""
        base = self._base_version
        return self._state.versions.add(
            event, attempt.number, attempt.path, base=base, detail=detail
        )

    def publish(self, attempt: Attempt, detail: Mapping[str, Any]) -> bool:
        """Make the server serve an attempt, unless another bundle went live since it began."""
        made = self._state.versions.publish(
            attempt.number,
            attempt.path,
            base=self._base_version,
            detail=detail,
            instead_of=attempt.compared,
        )
        return made is not None

    def prune(self) -> None:
        """Remove old versions, but neither the live one nor the one before."""
        history = self.history()
        kept = {history.live.number}
        with suppress(ServeError):
            kept.add(history.before().number)
        for number, version in list(history.published().items())[: -self._keep]:
            if number not in kept:
                remove(place_of(version.bundle.parent))

    def close(self) -> None:
        """Let other retrainings in."""
        self._locks.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _lock(self) -> None:
        prepare(self.folder)
        self._locks.enter_context(self._state.database.alone("retraining"))

    def _clean(self) -> None:
        """Note attempts without an end, and remove folders that hold no version."""
        for entry in self.history().unfinished():
            detail = {"reasons": ["its process ended before it finished"]}
            self._state.versions.add(
                "interrupted", entry.number, entry.path, base=entry.base, detail=detail
            )
        entries = self.history().entries
        published = {entry.path for entry in entries if entry.event == "published"}
        gone, names = published - existing(published), dict[Place, set[str]]()
        for entry in entries:
            # A failed attempt removes its folder first, a refused one after its line.
            if entry.event not in ("refused", "interrupted") and entry.path not in gone:
                continue
            place = place_of(entry.path.parent)
            if place.parent not in names:
                names[place.parent] = names_in(place.parent)
            if place.name in names[place.parent]:
                remove(place)

    def _next_number(self) -> int:
        numbers = [entry.number for entry in self.history().entries]
        there = [int(name) for name in names_in(self.folder) if name.isdecimal()]
        return max([0, *numbers, *there]) + 1

    def _give_up(self, attempt: Attempt, event: VersionEvent, reason: str) -> None:
        """Remove an attempt that has no end yet, and note why.

        On a full or broken disk the next opening does so.
        """
        with suppress(CrosstowerError):
            if all(entry.number != attempt.number for entry in self.history().unfinished()):
                return
            if attempt.made:
                remove(attempt.place)
            self.note(event, attempt, {"reasons": [reason]})


class Attempt:
    """A version in the making: fill `folder`, with the bundle at `bundle`, then call `finish`.

    `folder` is on this machine, and `place` and `path` are those of the version and its bundle.
    `reasons` say why `finish` has not published it.

    Args:
        versions: that it belongs to.
        number: of the version.
        compared: choice of the bundle that was live at its beginning.

    """

    folder: Path

    def __init__(self, versions: Versions, number: int, compared: tuple[int, Path] | None) -> None:
        self.number, self.compared, self.finished, self.made = number, compared, False, False
        self.reasons: tuple[str, ...] = ()
        self.place = versions.folder / f"{number:04d}"
        self.path = Path(str(self.place / BUNDLE))
        self._versions = versions

    @property
    def bundle(self) -> Path:
        """Where the bundle is made."""
        return self.folder / BUNDLE

    def finish(self, verdict: Verdict, facts: Mapping[str, Any] | None = None) -> bool:
        """Serve the version if the gate lets it pass, else remove it; note both in the journal.

        Args:
            verdict: of the gate.
            facts: about its rows; plain JSON values.

        Returns:
            Whether the version is live now.

        Raises:
            ServeError: the disk is full or broken, or an upload failed; the live version stays.

        """
        detail = {**verdict.plain(), "facts": dict(facts or {})}
        published = False
        if verdict.passed:
            detail["version"] = read_manifest(self.bundle).version
            write_atomic(self.folder / GATE, json.dumps(detail, indent=1, allow_nan=False).encode())
            keep(self.folder, self.place)
            published = self._versions.publish(self, detail)
            if not published:
                detail["reasons"] = [_OVERTAKEN]
        self.reasons = tuple(detail["reasons"])
        if not published:
            self._versions.note("refused", self, detail)
        self.finished = True
        if published:
            with suppress(ServeError):  # of a store that is not reached now: the next one removes
                self._versions.prune()
        else:
            remove(self.place)
        return published

    def make_folder(self) -> None:
        """Make the folder, which is removed if the attempt fails.

        Raises:
            FileExistsError: it is there, and not this attempt's.

        """
        self.folder = begin(self.place)
        self.made = True

    def check_finished(self) -> None:
        """Refuse to end without a verdict.

        Raises:
            ServeError: `finish` was not called.

        """
        if not self.finished:
            raise ServeError(f"version {self.number} has ended without a verdict of the gate")
