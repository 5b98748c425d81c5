"""Runs in torch-rechub's environment: FILE.npz DCNv2|WideDeep SEED EPOCHS BATCH; prints JSON.

Widths, rates and the batch size are those of our defaults; optimiser, weight decay and training
step are torch-rechub's own.
"""

import copy
import json
import sys
import time

import numpy as np
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.ranking import DCNv2, WideDeep
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

WIDTH, DIMS = 16, [128, 64]


def columns(data, split, sizes):
    codes, numbers = data[f"{split}_codes"], data[f"{split}_numbers"]
    x = {f"c{i}": codes[:, i].astype(np.int64) for i in range(len(sizes))}
    return x | {f"n{i}": numbers[:, i] for i in range(numbers.shape[1])}


def predict(model, x):
    model.eval()
    rows = len(next(iter(x.values())))
    tensors = {k: torch.from_numpy(v.copy()) for k, v in x.items()}
    with torch.no_grad():
        parts = [
            model({k: v[i : i + 8192] for k, v in tensors.items()}) for i in range(0, rows, 8192)
        ]
    return torch.cat(parts).numpy().ravel()


def main():
    file, name, seed, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    batch = int(sys.argv[5])
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - torch-rechub draws from it
    data = np.load(file)
    sizes = data["sizes"]
    sparse = [
        SparseFeature(f"c{i}", vocab_size=int(s), embed_dim=WIDTH) for i, s in enumerate(sizes)
    ]
    dense = [DenseFeature(f"n{i}") for i in range(data["train_numbers"].shape[1])]
    deep = [f for f, kept in zip(sparse, data["deep"], strict=True) if kept] + dense
    mlp = {"dims": DIMS, "dropout": 0.1}
    if name == "DCNv2":
        model = DCNv2(deep, n_cross_layers=2, mlp_params=mlp, use_low_rank_mixture=False)
    else:
        model = WideDeep(sparse, deep, mlp_params=mlp)
    trainer = CTRTrainer(model, optimizer_params={"lr": 1e-3, "weight_decay": 1e-5}, model_path=".")
    x, y = columns(data, "train", sizes), data["train_labels"]
    generator = DataGenerator(x, y)
    loader, _, _ = generator.generate_dataloader(
        x_val=x, y_val=y, x_test=x, y_test=y, batch_size=batch, num_workers=0
    )
    valid, best, kept, seconds = columns(data, "valid", sizes), -1.0, None, 0.0
    for _ in range(epochs):
        start = time.time()
        trainer.train_one_epoch(loader)
        seconds += time.time() - start
        auc = roc_auc_score(data["valid_labels"], predict(model, valid))
        if auc > best:
            best, kept = auc, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    p = predict(model, columns(data, "test", sizes)).astype(np.float64)
    labels = data["test_labels"]
    result = {
        "auc": roc_auc_score(labels, p),
        "log_loss": log_loss(labels, p),
        "rows_per_second": epochs * len(y) / seconds,
    }
    print(json.dumps(result))


main()
