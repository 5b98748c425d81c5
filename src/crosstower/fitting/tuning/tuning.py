"""A tuning run whose folder is open: its search, its best trial, and its winner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstower.data.progress import progress_console
from crosstower.errors import TrainingError, notify
from crosstower.fitting.fit import fit
from crosstower.fitting.tuning.folder import TUNED, Search
from crosstower.fitting.tuning.page import write_tune_page
from crosstower.fitting.tuning.result import TuneResult, trials_frame, write_trials
from crosstower.fitting.tuning.space import applied
from crosstower.fitting.tuning.study import Study, errors_of
from crosstower.fitting.tuning.trial_run import TrialRows, TrialRunner
from crosstower.fitting.tuning.workers import run_workers
from crosstower.recipe.recipe import Recipe
from crosstower.storage.files import write_atomic
from crosstower.training.run import METRICS, Run


@dataclass(frozen=True)
class Tuning:
    """A tuning run in its folder.

    Args:
        recipe: as given, all paths absolute.
        folder: of the tuning.
        study: its trials.
        search: settings of the search.
        rows: that trials train on.
        quiet: show no progress.

    """

    recipe: Recipe
    folder: Path
    study: Study
    search: Search
    rows: TrialRows
    quiet: bool

    def run_trials(self, limit: int, jobs: int) -> None:
        """Run trials until there are `limit`, in this process or in several.

        Raises:
            DataError: the rows are wrong.
            TrainingInterruptedError: Ctrl-C; tuning can be continued.

        """
        if jobs > 1:
            run_workers(self.folder, self.study, limit=limit, jobs=jobs, quiet=self.quiet)
            return
        lines = progress_console(quiet=self.quiet)
        bars = progress_console(quiet=self.quiet or not lines.is_interactive)

        def tell(line: str) -> None:
            lines.print(line, markup=False, highlight=False, soft_wrap=True)

        TrialRunner(self.recipe, self.folder, self.study, self.rows, bars).run(limit, tell)

    def best(self) -> Any:
        """Return the record of the best trial.

        Raises:
            TrainingError: no trial has ended well; names the first error.

        """
        found = self.study.best()
        if found is None:
            failed = errors_of(self.study.trials())
            if not failed:
                raise TrainingError(f"{self.folder}: no trial ran to its end; run more --trials")
            number, words = failed[0]
            raise TrainingError(
                f"{self.folder}: all {len(failed)} trials have failed; trial {number}: {words}."
                " Correct the recipe or the space, and tune into another folder with --out"
            )
        return found

    def conclude(self, seeds: int | None) -> TuneResult:
        """Write the best recipe, train and test it, and write the page.

        Args:
            seeds: training runs of the winner, 1 if None.

        Raises:
            TrainingError: all trials have failed.

        """
        best = self.best()
        tuned = applied(self.recipe, self.study.values_of(best))
        tuned = tuned.model_copy(update={"name": f"{self.recipe.name}-tuned"})
        write_atomic(self.folder / TUNED, tuned.to_yaml().encode())
        result = TuneResult(
            folder=self.folder,
            recipe=tuned,
            trials=trials_frame(self.study, list(self.search.space)),
            best=best.number,
            value=best.value,
            monitor=self.search.monitor,
            importance=self.study.importance(),
            run=self._winner(tuned, self.folder / f"winner-{best.number}", seeds),
        )
        write_trials(result)
        write_tune_page(result, self.search)
        return result

    def _winner(self, recipe: Recipe, folder: Path, seeds: int | None) -> Run:
        """Return the tested run of the best recipe, trained unless that was done before."""
        if (folder / METRICS).is_file():
            return _tested(folder, seeds)
        earlier = sorted(p.name for p in folder.parent.glob("winner-*") if p != folder)
        if earlier:
            words = f"{', '.join(earlier)} was tested before as the winner of fewer trials"
            notify(
                [f"{self.folder}: {words}; the more often test rows decide, the less they prove"]
            )
        begun = folder.exists()
        return fit(
            recipe,
            data=self.rows.data,
            prepared=self.rows.prepared,
            seeds=None if begun else seeds,
            out=folder,
            resume=begun,
            quiet=self.quiet,
        )


def _tested(folder: Path, seeds: int | None) -> Run:
    """Return a winner that was tested before; report it if other seeds were requested."""
    run = Run.open(folder)
    had = len(run.info.seeds)
    if seeds is not None and seeds != had:
        again = f"crosstower fit {folder.parent / TUNED} --seeds {seeds}"
        notify([f"{folder}: is kept, with seeds: {had}; for {seeds} seeds: {again}"])
    return run
