"""One process of a tuning run: `python -m crosstower.fitting.tuning.worker FOLDER LIMIT PARENT`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    # Ctrl-C while the modules below load, which takes seconds, ends the process without a word.
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(128 + signal.SIGINT))

from crosstower.blending.tuning import quiet
from crosstower.data.progress import progress_console
from crosstower.errors import DataError
from crosstower.fitting.tuning.folder import ROWS, open_folder
from crosstower.fitting.tuning.study import Study, optuna
from crosstower.fitting.tuning.trial_run import TrialRows, TrialRunner
from crosstower.fitting.tuning.workers import fault_path
from crosstower.training.trainer import TrainingInterruptedError


def main(arguments: list[str]) -> int:
    """Run trials of a tuning run that another process leads; return the exit code.

    Args:
        arguments: folder, number of trials, and id of that process.

    """
    folder, limit, parent = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with quiet(optuna()):
            recipe, found = open_folder(folder)
            study = Study(folder, found.settings, found.space, higher=found.higher)
            rows = TrialRows(folder / ROWS if found.prepared else None)
            silent = progress_console(quiet=True)
            TrialRunner(recipe, folder, study, rows, silent, parent).run(limit, _print)
    except DataError as error:
        fault_path(folder, os.getpid()).write_text(str(error), encoding="utf-8")
        return error.exit_code
    except (KeyboardInterrupt, TrainingInterruptedError):
        return TrainingInterruptedError.exit_code
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
