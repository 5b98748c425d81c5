"""The retrieval run or the bundle of a batch job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstower.errors import BundleError, QueryError, RunError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest
from crosstower.ranking.ranker import Ranker
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import FOLDER
from crosstower.retrieval.sources.source_files import SOURCES_FOLDER
from crosstower.serving.batch_jobs.list_rows import ListRows
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.bundle.manifest import NAME
from crosstower.storage.documents import facts_of
from crosstower.training.run import BLEND, CALIBRATION, REFIT, Run
from crosstower.training.trainer import BEST
from crosstower.values.addresses.address import Place, place_of
from crosstower.values.addresses.remote import exists


@dataclass(frozen=True)
class OpenModel:
    """A model that recommends, as an online funnel.

    Args:
        name: of the run or the bundle, for messages.
        funnel: that answers requests.
        version: of the bundle; None of a run.

    """

    name: str
    funnel: OnlineFunnel
    version: str | None = None

    @property
    def queries(self) -> Queries:
        """The encoder of queries."""
        return self.funnel.retriever.queries

    @property
    def candidates(self) -> int | None:
        """Number of items that the ranker scores, None without a ranker."""
        return None if self.funnel.ranker is None else self.funnel.candidates

    def check(self, request: FunnelRequest) -> None:
        """Reject a request whose k, candidates or condition cannot work for any user.

        Raises:
            QueryError: names the option and the limit.

        """
        if request.candidates is not None and self.funnel.ranker is None:
            raise QueryError(f"--candidates: {self.name} has no ranker; drop it")
        size = request.candidates or self.candidates
        if size is not None and request.k > size:
            raise QueryError(
                f"k: expected 1 to {size:,}, the number of candidates, got {request.k:,}; raise"
                f" --candidates to {request.k:,}"
            )
        self.funnel.catalogue.items.catalogue.allowed(request.where)

    def list_rows(self, k: int, *, stages: bool) -> ListRows:
        """Return the maker of list rows."""
        ranker, sources = self.funnel.ranker, self.funnel.catalogue.sources
        return ListRows(
            self.funnel.retriever.catalogue,
            k,
            stages=stages,
            tasks=() if ranker is None else tuple(ranker.tasks),
            blended=ranker is not None and ranker.blends.own is not None,
            sources=() if sources is None else sources.names,
        )


def is_bundle(model: str | Place) -> bool:
    """Return whether a folder, of a path or an address, is a bundle.

    Raises:
        RunError: the store of the address cannot be reached.

    """
    place = place_of(model, error=RunError)
    try:
        return exists(place / NAME)
    except OSError as error:
        raise RunError(f"{place}: cannot be read: {error}") from error


def refuse_seed(place: str | Place, seed: int | None) -> None:
    """Reject a seed for a bundle.

    Raises:
        QueryError: there is a seed.

    """
    if seed is not None:
        raise QueryError(f"--seed: {place} is a bundle, which has one model per stage; drop it")


def open_model(place: str | Place, *, seed: int | None = None, check: bool = True) -> OpenModel:
    """Open a retrieval run or a bundle.

    Args:
        place: path or address of its folder.
        seed: of a run; the first if None.
        check: compare the checksums of a bundle.

    Raises:
        RunError: there is no run, or it ranks.
        BundleError: the bundle is damaged, or only ranks.
        QueryError: a seed is given for a bundle, which has one.

    """
    if not is_bundle(place):
        retriever = Retriever.open(str(place), seed=seed)
        return OpenModel(f"run {place}", OnlineFunnel(retriever, candidates=1))
    refuse_seed(place, seed)
    live = Live.open(Bundle.open(place, check=check))
    if live.funnel is None:
        raise BundleError(f"{place}: only ranks; make a bundle with a retrieval run")
    return OpenModel(f"bundle {place}", live.funnel, live.version)


def digest_of_model(opened: OpenModel) -> str:
    """Return a content digest of a model, of 12 or more hexadecimal digits.

    That of a run covers weights, encoder, items, users, index and sources.
    """
    if opened.version is not None:
        return opened.version
    retriever = opened.funnel.retriever
    tables = [retriever.run.folder / FOLDER / name for name in ("items.parquet", "users.parquet")]
    index = sorted(retriever.index_folder.rglob("*"))
    sources = sorted((retriever.run.folder / FOLDER / SOURCES_FOLDER).rglob("*"))
    others = [*tables, *index, *sources]
    return _digest_of_run(retriever.run, retriever.name, retriever.seed, others)


def digest_of_ranker(ranker: Ranker) -> str:
    """Return a digest of weights, encoder, calibration and blend, of 16 hexadecimal digits."""
    trained = ranker.run.model_folder(ranker.name, ranker.seed)
    after = [trained / name for name in (CALIBRATION, BLEND)]
    return _digest_of_run(ranker.run, ranker.name, ranker.seed, after)


def _digest_of_run(run: Run, name: str, seed: int, others: Sequence[Path]) -> str:
    """Return a digest of encoder and weights of a training run, and of other files."""
    trained, digest = run.model_folder(name, seed), hashlib.sha256()
    weights = trained / (REFIT if run.refitted(name, seed) else BEST)
    encoder = sorted((run.folder / "encoder").rglob("*"))
    for path in [weights, *encoder, *others]:
        if path.is_file():
            digest.update(f"{path.relative_to(run.folder)} {facts_of(path).sha256}\n".encode())
    return digest.hexdigest()[:16]
