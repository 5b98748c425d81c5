"""Recommend items for many users, one partition at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import CrosstowerError, DataError, QueryError
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.recipe.arguments import count_of
from crosstower.serving.batch_jobs.models import OpenModel, digest_of_model, open_model
from crosstower.serving.batch_jobs.output import JobFacts
from crosstower.serving.batch_jobs.part_files import PartWriter
from crosstower.serving.batch_jobs.partitions import Partition, digest_of, part_of, partitions_of
from crosstower.serving.batch_jobs.run import Engine, JobSummary, absolute, run_job
from crosstower.serving.batch_jobs.users import (
    AllUsers,
    Users,
    UsersOfFile,
    check_each_once,
    users_of,
)
from crosstower.serving.batch_jobs.work import OnRows
from crosstower.values.addresses.address import Place

PARTITION_USERS = 50_000
_BATCH = 512  # requests that are searched at once


def recommend_users(
    model: str | Place,
    output: str | Place,
    *,
    users: str = "all",
    k: int = 10,
    where: str | None = None,
    candidates: int | None = None,
    stages: bool = False,
    seed: int | None = None,
    partition_size: int = PARTITION_USERS,
    processes: int = 1,
    engine: Engine = "local",
    force: bool = False,
    on_progress: OnProgress = no_progress,
) -> JobSummary:
    """Write the lists of many users as partitioned Parquet: user, position, item and score.

    The lists are those of single requests: of a bundle those of its server, without live events
    and exploration; of a retrieval run those of `Retriever.recommend`. Memory does not grow with
    the number of users. The same call continues a job that was stopped.

    Args:
        model: path or address of a retrieval run or a bundle.
        output: path or address of the folder of the parts.
        users: "all" for the users of the training rows, or a file, folder or glob with a column of
            ids and, if wanted, columns of the query.
        k: length of a list.
        where: a condition on the attributes of items.
        candidates: number of items that the ranker of a bundle scores; that of the bundle if None.
        stages: also write the ranks and scores of the stages.
        seed: of a retrieval run; its first if None.
        partition_size: largest number of users of a part.
        processes: number of workers.
        engine: see `run_job`.
        force: remove the output of another job.
        on_progress: called with the users done.

    Returns:
        Totals, with the counts `unknown users`, `popular lists` (nothing is known of the user),
        `short lists` and `unreadable candidates`.

    Raises:
        QueryError: an option is wrong, or does not fit the model.
        DataError: a row of the users cannot be used; names it.
        RunError: the model cannot be opened, or the output has another job's parts.

    """
    count_of("k", k, error=QueryError)
    rows_of = users if users == "all" else absolute(users)
    work = RecommendWork(absolute(model), rows_of, k, where, candidates, stages, seed)
    opened = open_model(work.model, seed=seed, check=True)
    rows = users_of(opened.queries, work.users)
    work.check(opened, rows)
    partitions = partitions_of(rows.source, size=partition_size)
    # A part of the run's own table of users is covered by the digest of the model.
    source = users if users == "all" else rows.source.name
    facts = JobFacts(
        job="recommend",
        model=opened.name,
        model_digest=digest_of_model(opened),
        input=source,
        input_digest="all" if users == "all" else digest_of(rows.source),
        settings={
            "k": k,
            "where": where,
            "candidates": opened.candidates if candidates is None else candidates,
            "stages": stages,
            "partition_size": partition_size,
        },
        partitions=len(partitions),
    )
    del opened, rows
    return run_job(
        work,
        facts,
        partitions,
        output,
        unit="users",
        processes=processes,
        engine=engine,
        force=force,
        on_progress=on_progress,
    )


@dataclass(frozen=True)
class RecommendWork:
    """A job that recommends, as plain data; see `recommend_users`."""

    model: str
    users: str
    k: int
    where: str | None = None
    candidates: int | None = None
    stages: bool = False
    seed: int | None = None

    @property
    def plain(self) -> FunnelRequest:
        """The request of each user, without the user."""
        return FunnelRequest(k=self.k, where=self.where, candidates=self.candidates)

    def check(self, opened: OpenModel, users: AllUsers | UsersOfFile) -> None:
        """Reject options and rows that cannot work, before any list is made.

        Raises:
            QueryError: `k`, the condition or a column of the query is wrong.
            DataError: the file of users has a bad id, or a user twice.

        """
        if self.candidates is not None:
            count_of("candidates", self.candidates, error=QueryError)
        opened.check(self.plain)
        if isinstance(users, UsersOfFile):
            names = [name for name in users.columns if name != users.id_column]
            for name in names:
                if name not in opened.funnel.query_columns:
                    allowed = ", ".join(opened.funnel.query_columns) or "none"
                    raise QueryError(
                        f"{users.source.name}: column '{name}' is not a query column; remove it"
                        f" (the query has: {allowed})"
                    )
            check_each_once(users)

    def open(self) -> Recommender:
        """Open the model."""
        opened = open_model(self.model, seed=self.seed, check=False)
        return Recommender(self, opened, users_of(opened.queries, self.users))


@dataclass(frozen=True)
class Recommender:
    """Recommends for partitions of users.

    Args:
        work: of the job.
        opened: the model.
        users: of the job.

    """

    work: RecommendWork
    opened: OpenModel
    users: Users

    def write(self, partition: Partition, part: PartWriter, on_rows: OnRows) -> None:
        """Write the lists of a partition of the users.

        Raises:
            DataError: a row has no user, or a value of the query is bad.

        """
        rows = self.opened.list_rows(self.work.k, stages=self.work.stages)
        some_unknown = not isinstance(self.users, AllUsers)
        for chunk in part_of(self.users.source, partition).chunks(self.users.columns):
            keys, requests = self.users.requests(chunk, self.work.plain)
            for start in range(0, len(requests), _BATCH):
                part_keys, some = keys[start : start + _BATCH], requests[start : start + _BATCH]
                lists = self._lists(some, f"{chunk.origin}: row", chunk.first_row + start)
                part.write(rows.frame(part_keys, lists))
                self._count(part, lists)
                part.counts["unknown users"] += self._unknown(some) if some_unknown else 0
                part.read += len(some)
                on_rows(len(some))

    def _lists(self, requests: Sequence[FunnelRequest], where: str, first: int) -> list[Ranked]:
        found: list[Ranked] = []
        for row, one in enumerate(self.opened.funnel.recommend_each(requests)):
            if isinstance(one, CrosstowerError):
                user = requests[row].user
                whose = "" if user is None else f" (user {user!r})"
                raise DataError(f"{where} {first + row:,}{whose}: {one}")
            found.append(one)
        return found

    def _unknown(self, requests: Sequence[FunnelRequest]) -> int:
        """Return the number of requests whose users are not in the training rows."""
        users = [request.user for request in requests if request.user is not None]
        return sum(self.opened.queries.place_of(user) < 0 for user in users)

    def _count(self, part: PartWriter, lists: Sequence[Ranked]) -> None:
        for one in lists:
            part.counts["popular lists"] += one.fallback is not None
            part.counts["short lists"] += len(one.places) < self.work.k
            part.counts["unreadable candidates"] += len(one.unread)
