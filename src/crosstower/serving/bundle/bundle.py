"""An open bundle.

A bundle is never changed in place: make another one and swap to it.

- `manifest.json`, `card.md`, `card.html`
- `rules.json`: the rules of all lists, if there are any
- `explore.json`: the exploration of all lists, if there is one
- `retrieval/`: the run that retrieves, with the weights of one model, its items, users and index
- `ranking/`: the run that ranks, with one model, calibration, blend and the tables it joins;
  `held_out.parquet` has predictions of validation rows, on which a blend can be fitted again;
  `forms/` has the model in a faster form
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from crosstower.blending.exploration.explore import Exploration
from crosstower.errors import BundleError, RunError
from crosstower.funnel.funnel import Funnel
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.rules import Rules
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.open import IndexHeader
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import read
from crosstower.serving.bundle.contents import check_contents
from crosstower.serving.bundle.exploration import read_exploration
from crosstower.serving.bundle.forms import EAGER, open_form
from crosstower.serving.bundle.forms import FOLDER as FORMS
from crosstower.serving.bundle.manifest import NAME, BundleManifest, read_manifest
from crosstower.serving.bundle.rules import read_rules
from crosstower.storage.folders import local_folder, origin_of
from crosstower.training.run import INDEX, Run, Stage
from crosstower.values.addresses.address import Place

RETRIEVAL, RANKING = "retrieval", "ranking"
HELD_OUT = "held_out.parquet"


@dataclass(frozen=True)
class Bundle:
    """A bundle: a folder with a retrieval run, a ranking run, or both, for serving.

    >>> import crosstower as ct
    >>> ct.make_bundle("runs/items", "items.bundle").manifest.stages
    ['retrieve']
    >>> bundle = ct.Bundle.open("items.bundle")
    >>> bundle.retriever().recommend(7, k=3).height
    3

    Args:
        folder: of the bundle, from `make_bundle`; of its local copy if it is at an address.
        manifest: content of `manifest.json`.

    """

    folder: Path
    manifest: BundleManifest

    def __repr__(self) -> str:
        """Return one line: folder, version, and the model of each stage."""
        found = (("retrieval", self.manifest.retrieval), ("ranking", self.manifest.ranking))
        stages = ", ".join(f"{stage} {run.model}" for stage, run in found if run is not None)
        return f"Bundle('{self.place}': version {self.version}; {stages})"

    @staticmethod
    def open(folder: str | Place, *, check: bool = True) -> Bundle:
        """Open a bundle; one at an address is copied into the cache (`CROSSTOWER_CACHE`).

        Args:
            folder: of the bundle; it may have been copied from another machine.
            check: compare all files with their checksums, about a second per GB; names and sizes
                are compared in any case.

        Raises:
            BundleError: there is none, a file is missing, cut short, damaged or not listed, the
                manifest was changed, the format is newer, or its parts do not belong together.

        """
        place = place_argument("bundle", folder, error=BundleError, expected="a bundle folder")
        folder = local_folder(place, NAME, error=BundleError)
        manifest = read_manifest(folder)
        check_contents(folder, manifest, checksums=check)
        bundle = Bundle(folder, manifest)
        bundle.check_index()
        bundle.check_joins()
        return bundle

    @property
    def place(self) -> Place:
        """The address of the bundle if its folder is a local copy, else its folder."""
        return origin_of(self.folder)

    @property
    def path(self) -> Path:
        """The place as a `Path`, by which servers record and find the bundle."""
        return Path(str(self.place))

    @cached_property
    def rules(self) -> Rules:
        """The rules of all lists.

        Raises:
            BundleError: they are damaged.

        """
        return read_rules(self.folder)

    @cached_property
    def explore(self) -> Exploration | None:
        """The exploration of all lists.

        Raises:
            BundleError: it is damaged.

        """
        return read_exploration(self.folder)

    @property
    def version(self) -> str:
        """Content digest of twelve hexadecimal digits."""
        return self.manifest.version

    @cached_property
    def retrieval(self) -> Run | None:
        """The run that retrieves."""
        return self._run(RETRIEVAL) if self.manifest.retrieval is not None else None

    @cached_property
    def ranking(self) -> Run | None:
        """The run that ranks."""
        return self._run(RANKING) if self.manifest.ranking is not None else None

    @property
    def event_types(self) -> tuple[str, ...]:
        """Types of events that change later lists: those of histories, then those of counters."""
        types = list[str]()
        if self.retrieval is not None:
            types += retrieval_section_of(self.retrieval.recipe).history.events
        if self.ranking is not None:
            types += [name for one in self.ranking.recipe.schema_.counts() for name in one.events]
        return tuple(dict.fromkeys(types))

    def run_of(self, stage: Stage) -> Run:
        """Return the run of a stage.

        Raises:
            BundleError: the bundle lacks the stage.

        """
        found = self.retrieval if stage == RETRIEVAL else self.ranking
        if found is None:
            does = "ranks" if stage == RETRIEVAL else "retrieves"
            raise BundleError(f"{self.folder}: only {does}; make a bundle with a {stage} run")
        return found

    def retriever(self) -> Retriever:
        """Return the retriever.

        Raises:
            BundleError: the bundle only ranks.

        """
        return Retriever.open(self)

    @cached_property
    def ranker(self) -> Ranker:
        """The ranker.

        Raises:
            BundleError: the bundle only retrieves.

        """
        return Ranker.open(self)

    def funnel(self, *, candidates: int | None = None) -> Funnel:
        """Return both stages as one.

        Args:
            candidates: how many items the ranker gets; as the manifest says if None.

        Raises:
            BundleError: the bundle has only one stage.

        """
        if self.retrieval is None or self.ranking is None:
            alone = self.manifest.stages[0]
            raise BundleError(
                f"{self.folder}: can only {alone}; a funnel needs both: crosstower bundle"
                " RETRIEVAL RANKING -o DIR"
            )
        size = self.manifest.candidates if candidates is None else candidates
        return Funnel.open(self.retrieval, self.ranking, candidates=size, rules=self.rules)

    def fastest(self, scorer: Scorer) -> tuple[Scorer, str]:
        """Return the ranker's scorer for requests in its faster form, and the form's name.

        The form is eager where the packages that another one needs are not installed here.

        Raises:
            BundleError: the form is damaged.

        """
        form = self.manifest.form
        if form != EAGER and importlib.util.find_spec("onnxruntime") is None:
            return scorer, EAGER
        try:
            return open_form(scorer, form, self.folder / RANKING / FORMS), form
        except RunError as error:
            raise BundleError(f"{error}") from error

    def held_out(self) -> pl.DataFrame | None:
        """Return predictions of validation rows and the columns of `blend_by`; None if absent."""
        path = self.folder / RANKING / HELD_OUT
        return read(path) if path.is_file() else None

    def check_index(self) -> None:
        """Reject an index with vectors of another model than the bundle's.

        Raises:
            BundleError: says which two.

        """
        facts = self.manifest.retrieval
        if facts is None:
            return
        folder = self.folder / RETRIEVAL / INDEX
        try:
            found = IndexHeader.read(folder).model
        except RunError as error:
            raise BundleError(f"{error}") from error
        if found != facts.weights:
            raise BundleError(
                f"{folder}: holds vectors of the model {_short(found)}, the retrieval model of this"
                f" bundle is {_short(facts.weights)}; make the bundle again"
            )

    def check_joins(self) -> None:
        """Reject a recipe that joins a table from outside the bundle.

        Raises:
            BundleError: names the table.

        """
        root = self.folder.resolve()
        for run in (self.retrieval, self.ranking):
            for join in run.recipe.data.joins if run is not None else ():
                if not Path(join.path).resolve().is_relative_to(root):
                    raise BundleError(
                        f"{self.folder}: joins {join.path}, which is outside the bundle; make the"
                        " bundle again"
                    )

    def _run(self, name: str) -> Run:
        try:
            return Run.open(self.folder / name)
        except RunError as error:
            raise BundleError(f"{error}") from error


def _short(version: str | None) -> str:
    return "of unknown version" if version is None else version[:12]
