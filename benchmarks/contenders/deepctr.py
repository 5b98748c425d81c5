"""deepctr-torch: DCN (matrix form), WDL and MMOE by its own `fit` and `predict`.

It carries ids as float32, exact up to 16,777,216 ids a column, and starts every weight of its
dense layers with a standard deviation of 0.0001.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import (
    BATCH,
    CROSS_LAYERS,
    EXPERT_HIDDEN,
    EXPERTS,
    HIDDEN,
    LEARNING_RATE,
    TASKS,
    TOWER_HIDDEN,
    WIDTH,
    Rows,
    UnsupportedError,
    run,
    timed,
)
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import DCN, MMOE, WDL

NO_PENALTY = {"l2_reg_embedding": 0.0, "l2_reg_linear": 0.0}


class DeepCTR:
    def __init__(self, options: argparse.Namespace, train: Rows) -> None:
        columns = [
            SparseFeat(f"C{i}", vocabulary_size=size, embedding_dim=WIDTH)
            for i, size in enumerate(train.sizes)
        ]
        columns += [DenseFeat(f"I{i}", 1) for i in range(train.numbers.shape[1])]
        self.rows, self.several = train, options.model == "mmoe"
        self.model = build(options.model, columns, options.seed)
        loss = ["binary_crossentropy"] * 2 if self.several else "binary_crossentropy"
        adam = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.model.compile(adam, loss, metrics=[])

    def train(self) -> dict[str, Any]:
        columns, labels = self.rows.columns(), self.rows.labels
        labels = labels if self.several else labels[:, 0]
        fit = timed(lambda: self.model.fit(columns, labels, BATCH, epochs=1, verbose=0))
        return {"train_rows_per_second": len(labels) / fit[1]}

    def inputs(self, batch: Rows) -> torch.Tensor:
        return torch.from_numpy(np.hstack([batch.codes.astype(np.float32), batch.numbers]))

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        self.model.eval()
        return self.model(inputs)[:, 0]

    def offered(self, test: Rows) -> Callable[[], Any]:
        return lambda: self.model.predict(test.columns(), BATCH)


def build(name: str, columns: list[Any], seed: int) -> torch.nn.Module:
    if name == "dcn_v2":
        return DCN(
            [],
            columns,
            cross_num=CROSS_LAYERS,
            cross_parameterization="matrix",
            dnn_hidden_units=HIDDEN,
            l2_reg_cross=0.0,
            seed=seed,
            **NO_PENALTY,
        )
    if name == "wide_deep":
        return WDL(columns, columns, dnn_hidden_units=HIDDEN, seed=seed, **NO_PENALTY)
    if name == "mmoe":
        return MMOE(
            columns,
            num_experts=EXPERTS,
            expert_dnn_hidden_units=EXPERT_HIDDEN,
            gate_dnn_hidden_units=(),
            tower_dnn_hidden_units=TOWER_HIDDEN,
            task_names=TASKS,
            seed=seed,
            **NO_PENALTY,
        )
    raise UnsupportedError("deepctr-torch 0.3.0 has no two-tower model")


if __name__ == "__main__":
    run(DeepCTR, argparse.ArgumentParser(description=__doc__))
