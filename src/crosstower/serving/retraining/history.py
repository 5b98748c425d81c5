"""The versions of a bundle according to the journal: which exist, and which is live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crosstower.errors import BundleError, ServeError
from crosstower.serving.bundle.manifest import NAME, read_manifest
from crosstower.serving.retraining.version_folders import existing
from crosstower.serving.state.state import State
from crosstower.serving.state.version_log import Entry
from crosstower.storage.folders import local_folder
from crosstower.values.addresses.address import absolute_path, place_of


@dataclass(frozen=True)
class Version:
    """A bundle that is or was served.

    Args:
        number: 0 for the bundle of the command line; None for one that was swapped to by its path.
        bundle: its path or address.
        folder: of the retraining, with the bundle in it; None without a retraining.

    """

    number: int | None
    bundle: Path
    folder: Path | None = None

    @staticmethod
    def of(number: int | None, bundle: Path) -> Version:
        """Return the version with a bundle."""
        return Version(number, bundle, bundle.parent if number else None)

    def __str__(self) -> str:
        """Return its name in messages."""
        return f"{self.bundle}" if self.number is None else f"version {self.number}"


@dataclass(frozen=True)
class History:
    """The journal of the versions of one bundle.

    Args:
        entries: all lines of the state, oldest first.
        base: the bundle of the command line, number 0.
        base_version: its content hash.
        live: the version that the server serves, or will serve when it starts.
        choice: number of the choice of the live version; 0 before any.

    """

    entries: tuple[Entry, ...]
    base: Path
    base_version: str
    live: Version
    choice: int

    @staticmethod
    def of(state: State, base: str | Path) -> History:
        """Return the history of a state.

        Args:
            state: of the server.
            base: the bundle of the command line.

        Raises:
            BundleError: there is no such bundle.
            ServeError: the journal is damaged.

        """
        base = absolute_path(Path(base))
        chosen = state.bundle()
        choice, path = (0, base) if chosen is None else chosen
        live = Version.of(state.versions.number_of(path, base=base), path)
        entries = tuple(state.versions.entries())
        return History(entries, base, version_of(base), live, choice)

    def published(self) -> dict[int, Version]:
        """Return the versions whose bundles are still there by number, without number 0.

        Raises:
            ServeError: they are at an address that cannot be reached.

        """
        found = {e.number: e.path for e in self.entries if e.event == "published"}
        there = existing(found.values())
        return {n: Version.of(n, path) for n, path in sorted(found.items()) if path in there}

    def before(self) -> Version:
        """Return the version that was live before the live one.

        Versions that were withdrawn or rolled back, and those that have been removed, do not count.

        Raises:
            ServeError: there is none.

        """
        if self.live.number is None:
            raise ServeError(
                f"{self.live} was swapped to by its path, so no version is before it; choose one"
                " with --to"
            )
        line = [0]  # numbers that went live one after the other
        for entry in self.entries:
            if entry.choice is None or entry.base != self.base_version or entry.live is None:
                continue
            if entry.live in line:
                del line[line.index(entry.live) + 1 :]
            else:
                line.append(entry.live)
        earlier = line[: line.index(self.live.number)] if self.live.number in line else line
        there = self.versions()
        for number in reversed(earlier):
            if number in there:
                return there[number]
        raise ServeError(f"{self.live} is live, and no version is before it")

    def versions(self) -> dict[int, Version]:
        """Return all versions that can be served by number."""
        return {0: Version.of(0, self.base)} | self.published()

    def numbered(self, number: int) -> Version:
        """Return a version that can be served.

        Raises:
            ServeError: there is none of this number.

        """
        there = self.versions()
        if number not in there:
            known = ", ".join(str(n) for n in there)
            raise ServeError(f"version {number}: unknown, or already removed; available: {known}")
        return there[number]

    def since(self) -> datetime | None:
        """Return the time since which the live version is live; None if the journal has none."""
        found = [e for e in self.entries if e.choice is not None and e.choice == self.choice]
        return found[-1].time if found else None

    def unfinished(self) -> list[Entry]:
        """Return the first lines of attempts that have no end."""
        running = dict[int, Entry]()
        for entry in self.entries:
            if entry.event == "begun":
                running[entry.number] = entry
            else:
                running.pop(entry.number, None)
        return list(running.values())

    def check_base(self) -> None:
        """Reject a bundle if the state serves a version of another one.

        Raises:
            ServeError: names both.

        """
        lines = [e for e in self.entries if e.path == self.live.bundle and e.choice is not None]
        if self.live.number and lines and lines[-1].base != self.base_version:
            raise ServeError(
                f"{self.base}: the state serves {self.live} of another bundle (content"
                f" {lines[-1].base}, not {self.base_version}); give that bundle, or the state of"
                " this one"
            )


def version_of(bundle: Path) -> str:
    """Return the content hash of a bundle at a path or an address.

    Raises:
        BundleError: there is none.

    """
    place = place_of(bundle, error=BundleError)
    return read_manifest(local_folder(place, NAME, error=BundleError)).version
