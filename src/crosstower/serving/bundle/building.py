"""Make a bundle of one or two finished runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.blending.exploration.explore import Exploration
from crosstower.blending.held_out import held_out
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.joins import JoinMatch
from crosstower.errors import BundleError, CrosstowerError
from crosstower.evaluation.metrics.drift import reference_of
from crosstower.fitting.new_run import LIBRARIES
from crosstower.funnel.funnel import Funnel, default_candidates
from crosstower.funnel.retrieved_columns import RETRIEVED
from crosstower.funnel.row_maker import RowMaker
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import PREDICTION
from crosstower.recipe.arguments import count_of, described, place_argument
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.rules import Rules
from crosstower.retrieval.index.open import save_index
from crosstower.retrieval.index.search_effort import RECALL
from crosstower.retrieval.indexing import choose_index
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import FOLDER, OLD_QUERIES, QUERIES, USER, without_histories
from crosstower.serving.bundle.bundle import HELD_OUT, RANKING, RETRIEVAL, Bundle
from crosstower.serving.bundle.card import write_cards
from crosstower.serving.bundle.copying import copy_run, git_revision, model_place
from crosstower.serving.bundle.exploration import given_exploration, write_exploration
from crosstower.serving.bundle.forms import EAGER, write_fastest
from crosstower.serving.bundle.forms import FOLDER as FORMS
from crosstower.serving.bundle.history_events import with_history_events
from crosstower.serving.bundle.manifest import (
    CARDS,
    NAME,
    BundleManifest,
    RunFacts,
    files_of,
    version_of,
)
from crosstower.serving.bundle.rules import columns_of_schema, given_rules, write_rules
from crosstower.storage.documents import facts_of
from crosstower.storage.folders import publishing, refuse_existing
from crosstower.training.history import read_predictions
from crosstower.training.run import BLEND, CALIBRATION, INDEX, VALID, Run
from crosstower.values.addresses.address import Place

_HELD_OUT_ROWS = 20_000
_MOST_TYPES = 50


def make_bundle(
    runs: Sequence[Run | str | Path] | Run | str | Path,
    out: str | Place,
    *,
    index: str = "auto",
    index_options: Mapping[str, Any] | None = None,
    candidates: int | None = None,
    seed: int | None = None,
    data: Any = None,
    rules: Rules | str | Path | None = None,
    explore: Exploration | Mapping[str, Any] | str | None = None,
    history_events: Sequence[str] | None = None,
    on_progress: OnProgress = no_progress,
) -> Bundle:
    """Write a folder that has everything a server needs, and open it.

    >>> import crosstower as ct
    >>> ct.make_bundle("runs/items", "items.bundle")
    Bundle('items.bundle': version ...; retrieval two_tower)

    With a ranker: `ct.make_bundle(["runs/items", "runs/clicks"], "clicks.bundle")`.

    Args:
        runs: one that retrieves, one that ranks, or both, in any order; each is there with its
            main model. One run may be given by itself.
        out: the folder or its address, where nothing may be yet.
        index: engine of the index of the items; auto is approximate from 20,000 items on if its
            recall@10 is at least 0.95.
        index_options: of that engine.
        candidates: how many items the ranker gets; by default 200, or the sum of the quotas of the
            sources of the retrieval run.
        seed: of both models; the first one of each run if None.
        data: the rows again, where the ranker was trained on a data frame and its blend may be
            fitted again by content types that were not stored.
        rules: of all lists, or the path of a file of rules; by default those of the recipe of the
            ranking run, or else of the retrieval run.
        explore: exploration of all lists, as options or YAML; none by default.
        history_events: types of events that extend the histories of users in a server; by default
            those of the recipe of the retrieval run.
        on_progress: called at each stage.

    Raises:
        BundleError: the folder is there, the runs are not one of each kind, or `history_events`
            are wrong, or given without a retrieval run.
        RunError: a run is missing, damaged, or its training has not finished.
        DataError: no item, or no known user, has its key in a table that the ranker joins.
        RecipeError: the rules are wrong, or name a column that items do not have; or the
            exploration is wrong.

    """
    place = place_argument("out", out, error=BundleError, expected="the folder to write")
    refuse_existing(place, error=BundleError)
    if candidates is not None:
        count_of("candidates", candidates, error=BundleError)
    given: Any = [runs] if isinstance(runs, Run | str | Path) else runs
    if not isinstance(given, Sequence):
        raise BundleError(f"runs: expected one or two runs or their folders, got {described(runs)}")
    retrieval, ranking = _by_kind([Run.of(run) for run in given])
    _check_retrieval(retrieval, ranking)
    candidates = candidates or default_candidates(retrieval)
    chosen = given_rules(rules) or _recipe_rules(ranking, retrieval)
    exploration = given_exploration(explore)
    recipe = _retrieval_recipe(retrieval, history_events)
    try:
        with publishing(place, NAME, error=BundleError) as aside:
            maker = _Maker(aside, seed, on_progress)
            if retrieval is not None:
                maker.retrieval(retrieval, recipe, index, index_options)
            if ranking is not None:
                maker.ranking(ranking, data)
            if retrieval is not None and ranking is not None:
                maker.form(candidates)
                maker.match(ranking)
            if chosen is not None:
                maker.rules(chosen, ranking)
            maker.explore(exploration)
            maker.finish(_name(place, retrieval, ranking), candidates)
    except OSError as error:
        raise BundleError(f"{place}: cannot be written: {error.strerror or error}") from error
    return Bundle.open(place, check=False)


class _Maker:
    """Fill a folder and collect the manifest."""

    def __init__(self, folder: Path, seed: int | None, on_progress: OnProgress) -> None:
        self.folder, self.seed, self.on_progress = folder, seed, on_progress
        self.facts: dict[str, RunFacts] = {}
        self.items, self.index, self.fastest = 0, None, EAGER
        self.index_recall: float | None = None
        self.attributes: pl.DataFrame | None = None
        self.item_columns: dict[str, pl.DataType] | None = None
        self.reference: dict[str, tuple[float, ...]] = {}
        self.joins: tuple[JoinMatch, ...] = ()
        self.needed: tuple[str, ...] = ()
        self.blend_by: tuple[str, ...] = ()

    def retrieval(
        self, run: Run, recipe: Recipe | None, index: str, options: Mapping[str, Any] | None
    ) -> None:
        self.on_progress("the retrieval model")
        place = self.folder / RETRIEVAL
        self.facts[RETRIEVAL] = copy_run(run, place, self.seed, recipe=recipe)
        shutil.copytree(
            run.folder / FOLDER,
            place / FOLDER,
            ignore=shutil.ignore_patterns(QUERIES, OLD_QUERIES, "baselines"),
        )
        retriever = Retriever.open(Run.open(place))
        self.items, self.attributes = len(retriever.catalogue), retriever.catalogue.attributes
        self.item_columns = retriever.catalogue.kinds
        self.on_progress(f"the index of {self.items:,} items")
        made, self.index, self.index_recall = choose_index(retriever, index, options)
        if self.index_recall is not None and self.index_recall < RECALL:
            self.on_progress(f"recall@10 of an approximate index is {self.index_recall:.3f}")
        width, weights = retriever.vectors.shape[1], self.facts[RETRIEVAL].weights
        save_index(made, place / INDEX, kind=self.index, width=width, model=weights)

    def ranking(self, run: Run, data: Any) -> None:
        self.on_progress("the ranker")
        place = self.folder / RANKING
        self.facts[RANKING] = facts = copy_run(run, place, self.seed)
        after = run.model_folder(facts.model, facts.seed)
        for name in (CALIBRATION, BLEND):
            if (after / name).is_file():
                shutil.copyfile(after / name, place / model_place(facts) / name)
        self.on_progress("its predictions of the validation rows")
        rows, self.blend_by = _held_out(run, facts, self._types(run), data)
        rows.write_parquet(place / HELD_OUT)
        self.reference = {
            task: tuple(reference_of(rows[f"{task}{PREDICTION}"].to_numpy()))
            for task in run.recipe.schema_.tasks
        }

    def form(self, candidates: int) -> None:
        self.on_progress("faster forms of the ranker")
        place = self.folder / RANKING
        funnel = Funnel.open(self.folder / RETRIEVAL, place, candidates=candidates)
        own = funnel.rows.sides(funnel.scorer.encoder.schema)[0]
        size = funnel.candidates
        self.fastest = write_fastest(funnel.scorer, own, place / FORMS, candidates=size)

    def match(self, ranking: Run) -> None:
        """Count the items and users that find their keys in the tables that the ranker joins.

        The columns that only a request can give are noted.
        """
        retriever = Retriever.open(Run.open(self.folder / RETRIEVAL))
        rows = RowMaker.of(retriever, ranking, ranking.recipe.served_schema.sources())
        matches = rows.join_matches(_users(retriever, rows.user))
        self.joins = tuple(match.without_folder() for match in matches)
        self.needed = rows.needed

    def rules(self, rules: Rules, ranking: Run | None) -> None:
        """Write the rules, which must fit the items, or the rows where there are none."""
        self.on_progress("the rules")
        if self.item_columns is None and ranking is not None:
            write_rules(
                self.folder, rules, columns_of_schema(ranking.recipe.schema_), vectors=False
            )
        else:
            write_rules(self.folder, rules, self.item_columns or {}, vectors=True)

    def explore(self, exploration: Exploration | None) -> None:
        """Write the exploration of all lists, if there is one."""
        if exploration is None:
            return
        if RETRIEVAL not in self.facts:
            raise BundleError("explore: needs a retrieval run, whose candidates are drawn")
        write_exploration(self.folder, exploration)

    def finish(self, name: str, candidates: int) -> None:
        self.on_progress("checksums")
        draft = BundleManifest(
            version="",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            name=name,
            crosstower=metadata.version("crosstower"),
            libraries={n: metadata.version(n) for n in LIBRARIES},
            git_revision=git_revision(),
            candidates=candidates,
            items=self.items,
            index=self.index,
            index_recall=self.index_recall,
            form=self.fastest,
            retrieval=self.facts.get(RETRIEVAL),
            ranking=self.facts.get(RANKING),
            reference=self.reference,
            blend_by=self.blend_by,
            joins=self.joins,
            needed_columns=self.needed,
            files=files_of(self.folder),
            cards={},
        )
        manifest = draft.model_copy(update={"version": version_of(draft)})
        write_cards(self.folder, manifest)
        cards = {name: facts_of(self.folder / name) for name in CARDS}
        manifest = manifest.model_copy(update={"cards": cards})
        (self.folder / NAME).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")

    def _types(self, run: Run) -> list[str]:
        """Return the columns for content types of a blend: its own first, then short ones."""
        blend = Ranker.open(run, seed=self.seed).blend
        own = blend.spec.by if blend is not None else None
        names = [n for n in (own, run.recipe.calibration.by) if n is not None]
        if self.attributes is not None:
            items = self.attributes
            short = [c for c in items.columns if _is_short(items[c])]
            read = {*names, *run.recipe.served_schema.sources()}
            names = [n for n in [*names, *short] if n in read and n in items.columns]
        return list(dict.fromkeys(names))


def _check_retrieval(retrieval: Run | None, ranking: Run | None) -> None:
    """Reject a ranker without the retriever whose columns it reads."""
    if ranking is None or retrieval is not None:
        return
    read = [name for name in RETRIEVED if name in ranking.recipe.served_schema.sources()]
    if read:
        raise BundleError(
            f"{ranking.folder}: reads {' and '.join(read)}, which a retriever gives; bundle it with"
            " the retrieval run whose scores it was trained on"
        )


def _recipe_rules(*runs: Run | None) -> Rules | None:
    """Return the rules of the first run whose recipe has some."""
    return next((r.recipe.rules for r in runs if r is not None and r.recipe.rules), None)


def _retrieval_recipe(retrieval: Run | None, events: Sequence[str] | None) -> Recipe | None:
    """Return the recipe of the retriever, with other events if there are any."""
    if events is None:
        return None
    if retrieval is None:
        raise BundleError("history_events: need a retrieval run, whose users have histories")
    return with_history_events(retrieval.recipe, events)


def _by_kind(runs: Sequence[Run]) -> tuple[Run | None, Run | None]:
    retrieving = [run for run in runs if run.recipe.retrieval is not None]
    ranking = [run for run in runs if run.recipe.retrieval is None]
    if not runs or len(retrieving) > 1 or len(ranking) > 1:
        found = ", ".join(f"{r.folder} ({_kind(r)})" for r in runs) or "none"
        raise BundleError(
            f"runs: expected one that retrieves, one that ranks, or both; got {found}"
        )
    return (retrieving or [None])[0], (ranking or [None])[0]


def _kind(run: Run) -> str:
    return "ranks" if run.recipe.retrieval is None else "retrieves"


def _name(out: Place, retrieval: Run | None, ranking: Run | None) -> str:
    run = ranking or retrieval
    return run.recipe.name if run is not None else out.name


def _held_out(
    run: Run, facts: RunFacts, types: list[str], data: Any
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return predictions of validation rows and the content types that they have."""
    tasks = run.recipe.schema_.tasks
    blend = Ranker.open(run, model=facts.model, seed=facts.seed).blend
    needed = [n for n in types if n not in tasks]
    needed += [n for n in (blend.columns if blend is not None else []) if n not in needed]
    try:
        rows = held_out(run, [facts.seed], needed, data=data)[0].valid
    except CrosstowerError:  # the data has moved; use the stored predictions
        rows = read_predictions(run, facts.model, facts.seed, VALID)
    names = [n for n in needed if n in rows.columns]
    kept = rows.select(*(f"{task}{PREDICTION}" for task in tasks), *names)
    if kept.height > _HELD_OUT_ROWS:
        kept = kept.sample(_HELD_OUT_ROWS, seed=0)
    return kept, tuple(n for n in types if n in names)


def _users(retriever: Retriever, name: str | None) -> pl.DataFrame:
    """Return the query columns of the known users, the id under its name."""
    if name is None:
        return pl.DataFrame()
    users = without_histories(retriever.users)
    return users.drop(USER) if name in users.columns else users.rename({USER: name})


def _is_short(values: pl.Series) -> bool:
    """Return whether a column could be a content type: text with few values."""
    return values.dtype == pl.String and 1 < values.n_unique() <= _MOST_TYPES
