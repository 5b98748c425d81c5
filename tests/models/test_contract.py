"""What every architecture promises, over several layouts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.data.ragged import Lists, Ragged
from crosstower.losses.pointwise import task_losses
from crosstower.models.registry import build, config_of, model_names
from crosstower.recipe.training import Training
from crosstower.training.optimizers import build_optimizers, count_rows

CODES = (CodeField("a", 12, "a"), CodeField("b", 9, "b", 4), CodeField("a_b", 50, "a_b", 0))
LISTS = (
    ListField("tags", 8, "tags", 3),
    ListField("seen", 12, "a", 4, "attention"),
    ListField("seen.before", 12, "a", 4, "gru"),
    ListField("path", 12, "a", 4, "transformer", options=(("heads", 2),)),
    ListField("tags.path", 8, "tags", 3, "bsarec", options=(("blocks", 1), ("cutoff", 1))),
    ListField("tags.steps", 8, "tags", 3, "hstu", options=(("blocks", 1),)),
    ListField("timed", 8, "tags", 3, "hstu", options=(("blocks", 1),), ages="ages of timed"),
)
ATTENDED = tuple(
    ListField(f"watched, {name}", 12, "a", 6, name, target="a")
    for name in ("target", "bst", "hstu")
)
ATTENDED += (replace(ATTENDED[-1], name="watched, timed", ages="ages of watched"),)
"""Histories that are compared with the item; two-tower models refuse them."""
CLICK, LIKE = Head("click", "binary"), Head("like", "binary")
LAYOUTS = {
    "codes": Layout(CODES[:2], (), (), (CLICK,)),
    "numbers": Layout((), ("x", "y"), (), (CLICK,)),
    "lists": Layout((), (), LISTS, (CLICK,)),
    "everything": Layout(CODES, ("x",), LISTS, (CLICK, LIKE, Head("stars", "rating"))),
    "target": Layout(CODES, (), (*LISTS[:1], *ATTENDED), (CLICK, LIKE)),
}
VARIANTS = [{"name": name} for name in model_names()]
VARIANTS += [{"name": "wide_deep", "combine": "concat"}]
VARIANTS += [
    {"name": "dcn_v2", "cross": cross, "structure": structure}
    for cross in ("full", "low_rank", "mixture", "gated")
    for structure in ("stacked", "parallel", "stacked_with_input")
]
VARIANTS += [
    {"name": name, "trunk": trunk}
    for name in ("shared_bottom", "mmoe", "ple", "esmm")
    for trunk in ("dcn_v2", "wide_deep")
]
VARIANTS += [
    {"name": "gdcn", "structure": "stacked"},
    {"name": "masknet", "structure": "parallel"},
    {"name": "autoint", "hidden": ()},
    {"name": "finalmlp", "gates": False},
    {"name": "dlrm", "self_interaction": True},
]
Variant = dict[str, Any]


def batch_of(layout: Layout, rows: int, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    codes = [torch.randint(1, f.size, (rows,), generator=random) for f in layout.codes]
    lists = {
        f.name: torch.randint(0, f.size, (rows, f.length), generator=random) for f in layout.lists
    }
    lists = {k: v.gather(1, v.eq(0).int().argsort(dim=1, stable=True)) for k, v in lists.items()}
    ages = {
        f.ages: (torch.rand(rows, f.length, generator=random) * 15).exp().long() + 1
        for f in layout.lists
        if f.ages is not None
    }
    owners = {f.ages: f.name for f in layout.lists}
    return Batch(
        torch.stack(codes, 1).int() if codes else torch.empty(rows, 0, dtype=torch.int32),
        torch.randn(rows, len(layout.numbers), generator=random),
        {k: v.int() for k, v in lists.items()}
        | {k: v.masked_fill(lists[owners[k]] == 0, 0) for k, v in ages.items()},
        torch.randint(0, 2, (rows, len(layout.heads)), generator=random).float(),
    )


def options_for(layout: Layout, variant: Variant) -> dict[str, object]:
    """Return the variant; a two-tower model is told which columns are the item's."""
    columns = layout.columns()
    if variant["name"] == "two_tower" and ATTENDED[0] in layout.lists:
        pytest.skip("query vectors are computed without the item")
    sides = {"item": columns[len(columns) // 2 :]} if variant["name"] == "two_tower" else {}
    return variant | sides


def model_of(layout: Layout, variant: Variant) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build(layout, options_for(layout, variant))
    for name, parameter in model.named_parameters():
        if "wide" in name or "time_bias" in name:  # starts at zero, which would hide it
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def both_forms(batch: Batch) -> tuple[Batch, Batch]:
    """The rows with ragged lists, and with padded ones; the first row's are empty."""
    ragged, table = dict[str, Lists](), dict[str, Lists]()
    for name, codes in batch.lists.items():
        present = codes != 0
        present[0] = False
        values, counts = codes[present].numpy(), present.sum(1).numpy()
        ragged[name] = lists = Ragged.of(values, counts, codes.shape[1])
        table[name] = lists.padded()
    return replace(batch, lists=ragged), replace(batch, lists=table)


all_variants = pytest.mark.parametrize(
    "variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values()))
)
all_layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@all_variants
@all_layouts
def test_one_logit_a_row_and_head(layout: Layout, variant: Variant) -> None:
    logits = model_of(layout, variant)(batch_of(layout, 5))
    assert list(logits) == [h.name for h in layout.heads]
    assert all(v.shape == (5,) and v.isfinite().all() for v in logits.values())


@all_variants
@all_layouts
def test_a_row_does_not_depend_on_its_company(layout: Layout, variant: Variant) -> None:
    model, batch = model_of(layout, variant), batch_of(layout, 6)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    together, permuted, alone = model(batch), model(batch[order]), model(batch[2:3])
    for name, logits in together.items():
        torch.testing.assert_close(permuted[name], logits[order])
        torch.testing.assert_close(alone[name], logits[2:3])


@all_variants
@all_layouts
def test_gradient_reaches_every_parameter(layout: Layout, variant: Variant) -> None:
    model, batch = model_of(layout, variant), batch_of(layout, 64)
    task_losses(model(batch), batch.labels, layout.heads)[0].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense()
        assert gradient.isfinite().all(), name
        assert gradient.any(), name


@all_variants
def test_saved_weights_give_the_same_logits(variant: Variant, tmp_path: Path) -> None:
    layout = LAYOUTS["everything"]
    one = model_of(layout, variant)
    torch.manual_seed(1)
    other = build(layout, options_for(layout, variant)).eval()
    other.load_state_dict(one.state_dict())
    batch = batch_of(layout, 4)
    for name, logits in one(batch).items():
        assert torch.equal(other(batch)[name], logits)


def checkerboard(rows: int, seed: int) -> Batch:
    """Label 1 where the parities of two numbers from 0 to 15 differ; codes start at 3."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 16, (rows, 2), generator=random)
    labels = (cells.sum(1) % 2).float().unsqueeze(1)
    return Batch((cells + 3).int(), torch.empty(rows, 0), {}, labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", model_names())
def test_a_checkerboard_is_learnt_by_all_but_the_linear_model(name: str) -> None:
    board = Layout((CodeField("a", 19, "a"), CodeField("b", 19, "b")), (), (), (CLICK,))
    torch.manual_seed(0)
    model = build(board, options_for(board, {"name": name}))
    optimizers = build_optimizers(model, Training(learning_rate=3e-3, embedding_learning_rate=2e-2))
    count_rows(optimizers, torch.tensor([256]))
    # An eighth of the cells is never shown: memorising pairs is not enough.
    kept = checkerboard(20_000, 0)
    cells = torch.rand(16, 16, generator=torch.Generator().manual_seed(1)) < 1 / 8
    hidden = cells[kept.codes[:, 0] - 3, kept.codes[:, 1] - 3]
    shown, unseen = kept[~hidden], kept[hidden]
    for step in range(250):
        batch = shown[torch.arange(step * 256, (step + 1) * 256) % len(shown)]
        for optimizer in optimizers:
            optimizer.zero_grad()
        task_losses(model(batch), batch.labels, board.heads)[0].sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    scores = model.eval()(unseen)["click"].detach()
    auc = roc_auc_score(unseen.labels[:, 0], scores)
    assert (auc < 0.6) if name == "logistic_regression" else (auc > 0.95)


def test_every_option_is_described_by_a_default() -> None:
    for name in model_names():
        assert config_of(name)() == config_of(name).model_validate({})


@all_variants
@pytest.mark.parametrize("rows", [1, 17])
def test_ragged_lists_train_as_padded_ones(variant: Variant, rows: int) -> None:
    """Logits, losses and gradients are the same to rounding."""
    more = ListField("summed", 8, "tags", 3, "sum"), ListField("highest", 9, "highest", 5, "max")
    attended = () if variant["name"] == "two_tower" else ATTENDED
    layout = replace(LAYOUTS["everything"], lists=(*LISTS, *more, *attended))
    found = list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]()
    for batch in both_forms(batch_of(layout, rows)):
        model = model_of(layout, variant)
        logits = model(batch)
        losses, _ = task_losses(logits, batch.labels, layout.heads)
        losses.sum().backward()
        gradients = {
            n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None
        }
        found.append((logits | {"losses": losses}, gradients))
    for ours, expected in zip(*found, strict=True):
        assert ours.keys() == expected.keys()
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=5e-6)
