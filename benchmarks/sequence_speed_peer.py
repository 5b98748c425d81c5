"""RecTools' SASRec: prints the seconds of one epoch. Arguments: rows as CSV, and settings."""

import json
import sys
import time
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Clock(Callback):
    """Measures an epoch, for all copies of it: RecTools trains with a copy of its trainer."""

    begin = seconds = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        Clock.begin = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the clock."""
        Clock.seconds = time.perf_counter() - Clock.begin


def main(path: str, settings: dict[str, Any]) -> None:
    """Train one epoch."""
    torch.set_num_threads(settings["threads"])
    rows = pd.read_csv(path).rename(columns={"user": Columns.User, "item": Columns.Item})
    start = pd.Timestamp("2020-01-01")
    rows[Columns.Datetime] = start + pd.to_timedelta(rows.pop("position"), unit="s")
    rows[Columns.Weight] = 1.0

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Clock()],
        )

    model = SASRecModel(
        n_factors=settings["width"],
        n_blocks=settings["blocks"],
        n_heads=settings["heads"],
        session_max_len=settings["length"],
        dropout_rate=settings["dropout"],
        loss="softmax",
        get_trainer_func=trainer,
    )
    model.fit(Dataset.construct(rows))
    print(Clock.seconds)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
