"""fuxictr: its layers, its training step, its data loader.

The package on PyPI has the layers and the trainers, but not the models over flat tables: those are
in the `model_zoo` of its repository. The classes here put the layers together in the same way. Each
number has an embedding of width 1, so that the dense layers are as wide as those of the others.

The file is not named after the library, whose import it would then be.
"""

import argparse
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
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
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, LogisticRegression, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.models.multitask_model import MultiTaskModel
from torch import nn

OPTIONS = {"gpu": -1, "verbose": 0, "model_root": ".", "metrics": ["AUC"]}
COMPILED = {"optimizer": "adam", "loss": "binary_crossentropy", "lr": LEARNING_RATE}


class DCNv2(BaseModel):
    def __init__(self, features: FeatureMap) -> None:
        super().__init__(features, **OPTIONS)
        width = features.sum_emb_out_dim()
        self.embedding_layer = FeatureEmbedding(features, WIDTH)
        self.crossnet = CrossNetV2(width, CROSS_LAYERS)
        self.dnn = MLP_Block(width, hidden_units=HIDDEN)
        self.fc = nn.Linear(width + HIDDEN[-1], 1)
        self.compile(**COMPILED)
        self.reset_parameters()

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        logit = self.fc(torch.cat([self.crossnet(x), self.dnn(x)], dim=-1))
        return {"y_pred": self.output_activation(logit)}


class WideDeep(BaseModel):
    def __init__(self, features: FeatureMap) -> None:
        super().__init__(features, **OPTIONS)
        self.embedding_layer = FeatureEmbedding(features, WIDTH)
        self.wide = LogisticRegression(features, use_bias=False)
        self.dnn = MLP_Block(features.sum_emb_out_dim(), hidden_units=HIDDEN, output_dim=1)
        self.compile(**COMPILED)
        self.reset_parameters()

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        columns = self.get_inputs(inputs)
        deep = self.dnn(self.embedding_layer(columns, flatten_emb=True))
        return {"y_pred": self.output_activation(self.wide(columns) + deep)}


class MMoE(MultiTaskModel):
    def __init__(self, features: FeatureMap) -> None:
        tasks = len(features.labels)
        kinds = ["binary_classification"] * tasks
        super().__init__(features, task=kinds, num_tasks=tasks, **OPTIONS)
        width = features.sum_emb_out_dim()
        self.embedding_layer = FeatureEmbedding(features, WIDTH)
        experts = [MLP_Block(width, hidden_units=EXPERT_HIDDEN) for _ in range(EXPERTS)]
        gates = [MLP_Block(width, output_dim=EXPERTS) for _ in range(tasks)]
        tower = {"hidden_units": TOWER_HIDDEN, "output_dim": 1}
        towers = [MLP_Block(EXPERT_HIDDEN[-1], **tower) for _ in range(tasks)]
        self.experts, self.gates = nn.ModuleList(experts), nn.ModuleList(gates)
        self.towers = nn.ModuleList(towers)
        self.compile(**COMPILED)
        self.reset_parameters()

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        experts = torch.stack([expert(x) for expert in self.experts], dim=1)  # [B, E, H]
        answer = {}
        for i, task in enumerate(self.feature_map.labels):
            weights = self.gates[i](x).softmax(dim=-1).unsqueeze(-1)
            logit = self.towers[i]((weights * experts).sum(dim=1))
            answer[f"{task}_pred"] = self.output_activation[i](logit)
        return answer


MODELS = {"dcn_v2": DCNv2, "wide_deep": WideDeep, "mmoe": MMoE}


class Fuxi:
    def __init__(self, options: argparse.Namespace, train: Rows) -> None:
        if options.model not in MODELS:
            raise UnsupportedError("fuxictr 2.3.10 has no two-tower model")
        self.rows, self.features = train, feature_map(train)
        self.model = MODELS[options.model](self.features)

    def train(self) -> dict[str, Any]:
        self.model._max_gradient_norm = 10.0  # what `fit` sets, with the counters of an epoch
        self.model._total_steps, self.model._eval_steps = 0, float("inf")
        self.model._stop_training = False
        loader = self._loader(self.rows, shuffle=True)
        seconds = timed(lambda: self.model.train_epoch(loader))[1]
        return {"train_rows_per_second": len(self.rows.labels) / seconds}

    def _loader(self, rows: Rows, *, shuffle: bool) -> NpzDataLoader:
        labels = {task: rows.labels[:, i] for i, task in enumerate(self.features.labels)}
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "rows.npz")
            np.savez(path, **rows.columns(), **labels)
            return NpzDataLoader(self.features, path, batch_size=BATCH, shuffle=shuffle)

    def inputs(self, batch: Rows) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(column) for name, column in batch.columns().items()}

    def scores(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self.model.eval()
        answer = self.model(inputs)
        return next(iter(answer.values()))[:, 0]

    def offered(self, test: Rows) -> Callable[[], Any]:
        loader = self._loader(test, shuffle=False)
        return lambda: self.model.predict(loader)


def feature_map(rows: Rows) -> FeatureMap:
    features = FeatureMap("click_log", ".")
    features.labels = list(TASKS[: rows.labels.shape[1]])
    codes = [
        (f"C{i}", {"type": "categorical", "vocab_size": size, "embedding_dim": WIDTH})
        for i, size in enumerate(rows.sizes)
    ]
    numbers = range(rows.numbers.shape[1])
    wide = [(f"I{i}", {"type": "numeric", "embedding_dim": 1}) for i in numbers]
    features.features = OrderedDict((n, {"source": "", **f}) for n, f in [*codes, *wide])
    features.num_fields = len(features.features)
    features.total_features = sum(rows.sizes) + len(wide)
    features.set_column_index()
    return features


if __name__ == "__main__":
    run(Fuxi, argparse.ArgumentParser(description=__doc__))
