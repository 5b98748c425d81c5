"""torch-rechub: DCNv2, WideDeep, MMOE and DSSM by its own trainers and data loaders.

Its dense layers normalise over the batch. Its wide side reads the deep side's embeddings, not
weights of its own; its DSSM has no layer after the last activation, and no temperature. It offers
no loader of whole columns: rows are gathered one by one, in the training process by default.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from common import (
    BATCH,
    CROSS_LAYERS,
    EXPERT_HIDDEN,
    EXPERTS,
    HIDDEN,
    LEARNING_RATE,
    QUERY_CODES,
    QUERY_NUMBERS,
    SIDE_HIDDEN,
    TOWER_HIDDEN,
    WIDTH,
    Rows,
    run,
    timed,
)
from torch.utils.data import DataLoader
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.matching import DSSM
from torch_rechub.models.multi_task import MMOE
from torch_rechub.models.ranking import DCNv2, WideDeep
from torch_rechub.trainers import CTRTrainer, MatchTrainer, MTLTrainer
from torch_rechub.utils.data import PredictDataset, TorchDataset

ADAM = {"optimizer_params": {"lr": LEARNING_RATE}}
KINDS = ["classification", "classification"]


class Rechub:
    def __init__(self, options: argparse.Namespace, train: Rows) -> None:
        self.name, self.rows = options.model, train
        sparse = [SparseFeature(f"C{i}", size, WIDTH) for i, size in enumerate(train.sizes)]
        dense = [DenseFeature(f"I{i}") for i in range(train.numbers.shape[1])]
        self.model = build(options.model, sparse, dense)
        if options.model == "mmoe":
            self.trainer = MTLTrainer(self.model, KINDS, **ADAM)
        elif options.model == "two_tower":
            self.trainer = MatchTrainer(self.model, mode=0, **ADAM)
        else:
            self.trainer = CTRTrainer(self.model, **ADAM)

    def train(self) -> dict[str, Any]:
        loader = DataLoader(self._labelled(self.rows), batch_size=BATCH, shuffle=True)
        seconds = timed(lambda: self.trainer.train_one_epoch(loader))[1]
        return {"train_rows_per_second": len(self.rows.labels) / seconds}

    def _labelled(self, rows: Rows) -> TorchDataset:
        labels = rows.labels if self.name == "mmoe" else rows.labels[:, 0]
        return TorchDataset(rows.columns(), labels)

    def inputs(self, batch: Rows) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(column) for name, column in batch.columns().items()}

    def scores(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self.model.eval()
        scores = self.model(inputs)
        return scores[:, 0] if self.name == "mmoe" else scores

    def offered(self, test: Rows) -> Callable[[], Any]:
        several = self.name == "mmoe"  # its multi-task trainer predicts rows without labels
        rows = PredictDataset(test.columns()) if several else self._labelled(test)
        loader = DataLoader(rows, batch_size=BATCH)
        return lambda: self.trainer.predict(self.model, loader)


def build(name: str, sparse: list[SparseFeature], dense: list[DenseFeature]) -> torch.nn.Module:
    mlp = {"dims": HIDDEN}
    if name == "dcn_v2":
        return DCNv2([*sparse, *dense], CROSS_LAYERS, mlp, use_low_rank_mixture=False)
    if name == "wide_deep":
        return WideDeep([*sparse, *dense], [*sparse, *dense], mlp)
    if name == "mmoe":
        experts, towers = {"dims": EXPERT_HIDDEN}, [{"dims": TOWER_HIDDEN} for _ in KINDS]
        return MMOE([*sparse, *dense], KINDS, EXPERTS, experts, towers)
    query = [*sparse[:QUERY_CODES], *dense[:QUERY_NUMBERS]]
    item = [*sparse[QUERY_CODES:], *dense[QUERY_NUMBERS:]]
    return DSSM(query, item, {"dims": SIDE_HIDDEN}, {"dims": SIDE_HIDDEN})


if __name__ == "__main__":
    run(Rechub, argparse.ArgumentParser(description=__doc__))
