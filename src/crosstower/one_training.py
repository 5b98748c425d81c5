"""One training of a run: a model with a seed, from its first step to its test predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import Progress

from crosstower.files import write_atomic
from crosstower.jobs import Job
from crosstower.models.registry import build
from crosstower.nn.embedding import hold_tables
from crosstower.run import Run
from crosstower.train.checkpoint import load_weights
from crosstower.train.progress import Watcher
from crosstower.train.trainer import BEST, Trainer, pick_device


@dataclass(frozen=True)
class OneTraining:
    """One model with one seed."""

    run: Run
    job: Job
    name: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.run.model_folder(self.name, self.seed)

    def go(self, bar: Progress, *, finish: bool) -> None:
        """Train (or go on), then look at the test rows with the best weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, job = self.run.recipe.training, self.job
        size = settings.rows_a_step(job.train_rows)
        device = pick_device(settings.device)
        monitor, higher = job.monitor
        torch.manual_seed(self.seed)
        model = build(job.encoder.layout, self.run.info.models[self.name]).to(device)
        if settings.tables == "host":
            hold_tables(model, "cpu")
        log = self.folder / "metrics.jsonl"
        watcher = Watcher(bar, name=f"{self.name} seed {self.seed}", monitor=monitor, log=log)
        trainer = Trainer(
            model=model,
            objective=job.objective(size),
            settings=settings,
            batches=job.batches(size, self.seed),
            validate=job.validate,
            monitor=monitor,
            higher_is_better=higher,
            folder=self.folder,
            observer=watcher,
            device=device,
        )
        position = trainer.fit(resume=True, finish=finish)
        watcher.close()
        lines = "".join(json.dumps(record) + "\n" for record in position.history)
        write_atomic(log, lines.encode())
        load_weights(self.folder / BEST, model)
        job.conclude(model, self.folder)
