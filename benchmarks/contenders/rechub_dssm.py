"""Runs in torch-rechub's environment: FILE.npz SEED; prints one JSON line.

DSSM with in-batch negatives, all others of the batch, by its own trainer; then every user against
every item, vectors by its own towers.
"""

import contextlib
import io
import json
import sys
import time
import warnings

import numpy as np
import torch
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.matching import DSSM
from torch_rechub.trainers import MatchTrainer
from torch_rechub.utils.data import MatchDataGenerator


def main(path, seed):
    data = np.load(path)
    users, items, dim, batch, k = (int(v) for v in data["settings"])
    torch.manual_seed(seed)
    tower = {"dims": [dim], "dropout": 0.0}
    model = DSSM(
        [SparseFeature("user", vocab_size=users, embed_dim=dim)],
        [SparseFeature("item", vocab_size=items, embed_dim=dim)],
        tower,
        tower,
        temperature=0.3,
    )
    trainer = MatchTrainer(
        model, mode=2, in_batch_neg=True, optimizer_params={"lr": 1e-3}, n_epoch=1
    )
    pairs = {"user": data["user"], "item": data["item"]}
    loader, _, _ = MatchDataGenerator(pairs, np.zeros(len(data["user"]))).generate_dataloader(
        {"user": np.arange(users)}, {"item": np.arange(items)}, batch_size=batch, num_workers=0
    )
    start = time.perf_counter()
    trainer.train_one_epoch(loader)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    ranked = rank(model, users, items, k)
    return {
        "rows_per_second": len(data["user"]) / seconds,
        "ranking_seconds": time.perf_counter() - start,
        "ranked": ranked,
    }


@torch.no_grad()
def rank(model, users, items, k):
    model.eval()
    item = model.item_tower({"item": torch.arange(items)})
    found = 0
    for part in torch.arange(users).split(1024):
        found += len((model.user_tower({"user": part}) @ item.T).topk(k).indices)
    return found


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = main(sys.argv[1], int(sys.argv[2]))
    print(json.dumps(found))
