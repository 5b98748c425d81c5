import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import TrainingError
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.recipe.recipe import Training
from crosstower.training.trainer import (
    BEST,
    LAST,
    Trainer,
    TrainingInterruptedError,
    predict_logits,
)

LAYOUT = Layout((CodeField("a", 13, "a"),), ("x",), (), (Head("click", "binary"),))


class Silent:
    """Sees everything and says nothing."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.rows = 0

    def begin(self, *, rows: int, epoch: int) -> None:
        """Ignore the start."""

    def advance(self, *, rows: int, loss: float) -> None:
        """Count rows."""
        self.rows += rows

    def finish(self, record: dict[str, Any]) -> None:
        """Keep the record."""
        self.records.append(record)


def rows_of(folder: Path, count: int = 500) -> EncodedRows:
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(3, 13, (count, 1), generator=random)
    labels = (torch.rand(count, 1, generator=random) < codes / 13).float()
    rows = EncodedRows(folder, 10**9)
    rows.add(Batch(codes.int(), torch.randn(count, 1, generator=random), {}, labels))
    return rows


def trainer(folder: Path, losses: list[float] | None = None, **settings: Any) -> Trainer:
    torch.manual_seed(3)
    values = iter(losses or [1 / (n + 1) for n in range(100)])
    chosen = Training(**{"precision": "float32", "batch_size": 64, "epochs": 4, **settings})
    return Trainer(
        model=build(LAYOUT, {"name": "wide_deep"}),
        objective=PointwiseObjective(LAYOUT, StaticBalance([1.0])),
        settings=chosen,
        batches=Batches(rows_of(folder / "rows"), chosen.batch_size or 64, seed=1),
        validate=lambda _model, _precision: {"click.log_loss": next(values)},
        monitor="click.log_loss",
        higher_is_better=False,
        folder=folder,
        observer=Silent(),
        device=torch.device("cpu"),
    )


def test_an_epoch_says_how_long_it_waited_and_validated(tmp_path: Path) -> None:
    record = trainer(tmp_path, epochs=1).fit().history[0]
    assert 0 <= record["wait_share"] <= 1
    assert record["validation_seconds"] >= 0
    assert record["rows_per_second"] == pytest.approx(500 / record["seconds"])


def test_the_best_and_the_last_checkpoint_are_apart_after_a_worse_epoch(tmp_path: Path) -> None:
    trainer(tmp_path, losses=[0.5, 0.7], epochs=1).fit()
    assert (tmp_path / BEST).read_bytes() == (tmp_path / LAST).read_bytes()
    trainer(tmp_path / "on", losses=[0.5, 0.7], epochs=2).fit()
    assert (tmp_path / "on" / BEST).read_bytes() != (tmp_path / "on" / LAST).read_bytes()


def test_training_lowers_the_loss_and_records_each_epoch(tmp_path: Path) -> None:
    one = trainer(tmp_path, learning_rate=0.01)
    position = one.fit()
    losses = [r["train_loss"] for r in position.history]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert one.observer.records == position.history  # type: ignore[attr-defined]
    assert one.observer.rows == 4 * 500  # type: ignore[attr-defined]
    assert [r["step"] for r in position.history] == [8, 16, 24, 32]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trainer(tmp_path / name).fit()
    one, other = (load_file(tmp_path / n / LAST) for n in ("a", "b"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_the_average_is_validated_and_kept_and_the_training_goes_on_with_the_weights(
    tmp_path: Path,
) -> None:
    one, seen = trainer(tmp_path, ema_decay=0.9), list[torch.Tensor]()

    def validate(model: nn.Module, _precision: str) -> dict[str, float]:
        seen.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))
        return {"click.log_loss": 1 / len(seen)}

    one.validate = validate
    one.fit()
    plain = trainer(tmp_path / "plain")
    plain.fit()
    averaged, last = load_file(tmp_path / BEST), load_file(tmp_path / LAST)
    names = [f"model.{name}" for name, _ in one.model.named_parameters()]
    assert torch.equal(seen[-1], torch.cat([averaged[name].flatten() for name in names]))
    without = load_file(tmp_path / "plain" / LAST)
    assert all(torch.equal(last[name], without[name]) for name in names)
    assert not any(torch.equal(averaged[name], last[name]) for name in names)
    assert not any(name.startswith("average") for name in averaged)


@pytest.mark.parametrize("after", [3, 8, 13])  # within an epoch, at its end, within the second
def test_a_stopped_average_goes_on_to_the_bit(tmp_path: Path, after: int) -> None:
    whole = trainer(tmp_path / "whole", ema_decay=0.9)
    whole.fit()
    one = trainer(tmp_path, ema_decay=0.9)
    step = one._step

    def stopping(batch: Batch, position: Any) -> float:
        value = step(batch, position)
        if position.step == after:
            signal.raise_signal(signal.SIGINT)
        return value

    one._step = stopping  # type: ignore[method-assign]
    with pytest.raises(TrainingInterruptedError):
        one.fit()
    trainer(tmp_path, losses=[1 / n for n in range(1 + (after >= 8), 99)], ema_decay=0.9).fit(
        resume=True
    )
    for name in (BEST, LAST):
        found, expected = load_file(tmp_path / name), load_file(tmp_path / "whole" / name)
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_it_stops_after_patience_and_keeps_the_best(tmp_path: Path) -> None:
    one = trainer(tmp_path, losses=[0.5, 0.3, 0.4, 0.35, 0.2], epochs=9, patience=2)
    position = one.fit()
    assert (position.epoch, position.best_epoch, position.best_value) == (4, 1, 0.3)
    short = trainer(tmp_path / "short", losses=[0.5, 0.3], epochs=2)
    short.fit()
    best, same = load_file(tmp_path / BEST), load_file(tmp_path / "short" / BEST)
    assert all(torch.equal(best[k], same[k]) for k in best if k.startswith("model."))


def test_an_epoch_is_evaluated_every_few_steps_and_at_its_end(tmp_path: Path) -> None:
    one = trainer(tmp_path, epochs=2, evaluate_every=3)  # eight steps an epoch
    position = one.fit()
    found = [(r["epoch"], r["step"], r["epochs"]) for r in position.history]
    assert found == [
        (0, 3, 0.375),
        (0, 6, 0.75),
        (0, 8, 1.0),
        (1, 9, 1.125),
        (1, 12, 1.5),
        (1, 15, 1.875),
        (1, 16, 2.0),
    ]
    assert one.observer.records == position.history  # type: ignore[attr-defined]
    plain = trainer(tmp_path / "plain", epochs=2)
    plain.fit()
    weights, same = (load_file(f / LAST) for f in (tmp_path, tmp_path / "plain"))
    assert all(torch.equal(weights[k], same[k]) for k in same if k.startswith("model."))


def test_the_last_step_of_an_epoch_is_evaluated_once(tmp_path: Path) -> None:
    position = trainer(tmp_path, epochs=2, evaluate_every=4).fit()
    assert [r["step"] for r in position.history] == [4, 8, 12, 16]


def test_dropout_stays_on_after_an_evaluation_within_an_epoch(tmp_path: Path) -> None:
    one = trainer(tmp_path, epochs=1, evaluate_every=2)
    one.validate = lambda model, _precision: {"click.log_loss": float(model.eval().training)}
    modes: list[bool] = []
    one.model.register_forward_pre_hook(lambda model, _args: modes.append(model.training))
    one.fit()
    assert modes == [True] * 8


def test_patience_counts_evaluations_and_ends_within_an_epoch(tmp_path: Path) -> None:
    settings = {"epochs": 9, "patience": 2, "evaluate_every": 2}
    position = trainer(tmp_path, losses=[0.5, 0.3, 0.2, 0.4, 0.35, 0.1], **settings).fit()
    assert (position.epoch, position.batch, position.step) == (1, 2, 10)
    assert (position.best_epoch, position.best_value, position.finished) == (0, 0.2, True)
    trainer(tmp_path / "short", losses=[0.5, 0.3, 0.2, 0.4], epochs=1, evaluate_every=2).fit()
    best, same = load_file(tmp_path / BEST), load_file(tmp_path / "short" / BEST)
    assert all(torch.equal(best[k], same[k]) for k in best if k.startswith("model."))


def test_a_training_stopped_between_evaluations_goes_on_the_same(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", evaluate_every=3).fit()
    stopped(tmp_path / "parts", steps=13, evaluate_every=3)  # in the second epoch
    losses = [1 / (n + 1) for n in range(5, 99)]
    position = trainer(tmp_path / "parts", losses=losses, evaluate_every=3).fit(resume=True)
    keys = ("epoch", "step", "train_loss", "valid", "better")
    assert [[r[k] for k in keys] for r in position.history] == [
        [r[k] for k in keys] for r in whole.history
    ]
    one, other = (load_file(tmp_path / n / LAST) for n in ("whole", "parts"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_a_metric_that_is_nan_never_replaces_a_number(tmp_path: Path) -> None:
    position = trainer(tmp_path, losses=[0.5, math.nan, 0.4, math.nan]).fit()
    assert (position.best_epoch, position.best_value) == (2, 0.4)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_schedules_act_on_dense_and_sparse_rates(tmp_path: Path, schedule: str) -> None:
    one = trainer(tmp_path, schedule=schedule, learning_rate=0.1)
    one.fit()
    last = 31 / 32  # of the way, at the last of 32 steps
    share = 1 - last if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * last))
    rates = [g["lr"] for o in one.optimizers for g in o.param_groups if "lr" in g]
    assert rates[0] == pytest.approx(0.1 * share, rel=1e-6)
    assert rates[-1] == pytest.approx(1e-3 * share, rel=1e-6)


def test_a_loss_of_nan_stops_names_the_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    next(one.batches.rows.windows([0])).numbers[450:] = math.nan
    match = r"(?s)loss became nan at step 1 .*last\.safetensors.*learning_rate.*x: min"
    with pytest.raises(TrainingError, match=match):
        one.fit()
    kept = load_file(tmp_path / LAST)
    assert all(v.isfinite().all() for k, v in kept.items() if k.startswith("model."))


def test_predictions_keep_the_order_of_the_rows(tmp_path: Path) -> None:
    rows, model = rows_of(tmp_path, 100), build(LAYOUT, {"name": "mlp"})
    parts = predict_logits(model, Batches(rows, 7), device=torch.device("cpu"), precision="float32")
    whole = model(Batch.concatenate(list(Batches(rows, 1000).epoch())))
    torch.testing.assert_close(parts["click"], whole["click"].detach())


def test_both_optimisers_and_precisions_train(tmp_path: Path) -> None:
    for number, settings in enumerate(
        [{"embedding_optimizer": "rowwise_adagrad"}, {"precision": "bfloat16"}]
    ):
        one = trainer(tmp_path / str(number), learning_rate=0.01, **settings)
        history = one.fit().history
        assert history[-1]["train_loss"] < history[0]["train_loss"]
        assert all(isinstance(m, nn.Module) for m in one.model.modules())


def test_the_training_loss_is_the_mean_over_labelled_rows(tmp_path: Path) -> None:
    """Batches without a label count for nothing, instead of as a loss of 0."""
    one = trainer(tmp_path, epochs=1, learning_rate=1e-12, batch_size=50)
    rows = next(one.batches.rows.windows([0]))
    rows.labels[torch.arange(500) % 97 > 0] = math.nan
    with torch.no_grad():
        for parameter in one.model.parameters():
            parameter.zero_()
    record = one.fit().history[0]
    assert record["train_loss"] == pytest.approx(math.log(2), abs=0.05)


def test_more_epochs_go_on_to_the_weights_of_a_longer_training(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", epochs=5)
    whole.fit()
    trainer(tmp_path / "parts", epochs=2).fit()
    position = trainer(tmp_path / "parts", epochs=5, losses=[1 / n for n in range(3, 99)]).fit(
        resume=True
    )
    assert (position.epoch, position.finished, position.limits) == (5, True, (5, 5))
    one, other = (load_file(tmp_path / n / LAST) for n in ("whole", "parts"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_fewer_epochs_end_at_once_with_the_best_so_far(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=4, losses=[0.5, 0.3, 0.4, 0.6]).fit()
    before = load_file(tmp_path / BEST)
    position = trainer(tmp_path, epochs=2).fit(resume=True)
    assert (position.epoch, position.best_epoch, position.finished) == (4, 1, True)
    assert all(torch.equal(before[k], v) for k, v in load_file(tmp_path / BEST).items())


def stopped(folder: Path, steps: int, **settings: Any) -> None:
    one, count = trainer(folder, **settings), iter(range(1, 10**6))

    def advance(*, rows: int, loss: float) -> None:
        if next(count) == steps:
            signal.raise_signal(signal.SIGINT)

    one.observer.advance = advance  # type: ignore[method-assign]
    with pytest.raises(TrainingInterruptedError, match="--resume RUN; add --finish"):
        one.fit()


def test_a_training_is_ended_with_its_best_epoch(tmp_path: Path) -> None:
    stopped(tmp_path, steps=20, losses=[0.5, 0.6])  # in the third epoch of eight steps
    best = load_file(tmp_path / BEST)
    position = trainer(tmp_path).fit(resume=True, finish=True)
    assert (position.best_epoch, position.finished, position.ended) == (0, True, True)
    assert len(position.history) == 2
    assert all(torch.equal(best[k], v) for k, v in load_file(tmp_path / BEST).items())
    again = trainer(tmp_path).fit(resume=True)  # the end is kept
    assert again.step == 20
    longer = trainer(tmp_path, epochs=6).fit(resume=True)  # and more epochs continue from there
    assert (longer.epoch, longer.ended) == (6, False)


def test_a_training_ended_in_its_first_epoch_validates_what_it_has(tmp_path: Path) -> None:
    stopped(tmp_path, steps=3)
    assert not (tmp_path / BEST).is_file()
    last = load_file(tmp_path / LAST)
    position = trainer(tmp_path, losses=[0.7]).fit(resume=True, finish=True)
    assert (position.best_value, position.best_epoch, position.step) == (0.7, 0, 3)
    kept = load_file(tmp_path / BEST)
    assert all(torch.equal(last[k], kept[k]) for k in kept if k.startswith("model."))


def test_the_reason_of_the_precision_is_recorded(tmp_path: Path) -> None:
    record = trainer(tmp_path, epochs=1, precision="float32").fit().history[0]
    assert record["precision_reason"] == "set by training.precision"
    record = trainer(tmp_path / "auto", epochs=1, precision="auto").fit().history[0]
    assert record["precision"] == "float32"  # 64 rows of a small model are little work
    assert "bfloat16" in record["precision_reason"]
