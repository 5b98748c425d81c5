"""A training continues from an earlier run: ids, weights, optimiser states and statistics."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from crosstower.cli.main import main
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder
from crosstower.errors import RecipeError, RunError
from crosstower.fitting import carry_over
from crosstower.fitting.fit import fit
from crosstower.fitting.warm_start import freeze, start_notes, write_start
from crosstower.nn.embedding import EmbeddingStore
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.own_columns import PREDICTION
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.retrieval.query_tower import query_difference
from crosstower.retrieval.retriever import Retriever
from crosstower.training.optimizers import build_optimizers
from crosstower.training.run import REFIT, Run
from crosstower.values.codes import Vocabulary

from ..fixtures import films

TEXT = """
name: daily
schema:
  columns:
    user_id: {kind: categorical, max_size: 40}
    genre: categorical
    tags: {kind: bag, max_len: 3}
    age: numeric
  tasks: {click: binary}
model: {name: wide_deep, embedding_dim: 4, hidden: [8]}
training: {epochs: 1, batch_size: 64, precision: float32}
evaluation: {baselines: []}
"""


def day(first_user: int, count: int = 400, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Rows of 30 users from `first_user` on, by split."""
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "user_id": random.integers(first_user, first_user + 30, count),
            "genre": random.choice(["drama", "action", "war"], count),
            "tags": [list("abc"[: random.integers(0, 4)]) for _ in range(count)],
            "age": random.normal(40 + first_user, 5.0, count),
            "click": random.integers(0, 2, count),
        }
    )  # fmt: skip
    half = count // 2
    return {"train": frame[:half], "valid": frame[half : half + half // 2], "test": frame[-100:]}


def trained(folder: Path, first_user: int, *overrides: str, **more: Any) -> Run:
    rows = day(first_user, seed=first_user)
    return fit(parse_recipe(TEXT, list(overrides)), data=rows, out=folder, quiet=True, **more)


@pytest.fixture(scope="module")
def monday(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("warm") / "monday", 0)


@pytest.fixture(scope="module")
def tuesday(monday: Run) -> Run:
    return trained(monday.folder.parent / "tuesday", 15, warm_start=monday)


def checkpoint(run: Run, name: str = "best") -> dict[str, torch.Tensor]:
    return load_file(run.model_folder("wide_deep", 0) / f"{name}.safetensors")


def users(run: Run) -> list[int]:
    table = run.encoder.tables["user_id"]
    assert isinstance(table, Vocabulary)
    return table.values.to_list()


RANKERS = ["deepfm", "dlrm", "autoint", "masknet", "finalmlp", "gdcn", "wukong"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wide_deep", "dcn_v2", "mmoe", *RANKERS])
def test_the_first_checkpoint_answers_as_the_earlier_run(model: str, tmp_path: Path) -> None:
    plain = "schema.columns.age={kind: numeric, transform: bucketise, boundaries: [40, 45]}"
    named = f"model={{name: {model}, embedding_dim: 4}}"
    before = trained(tmp_path / "before", 0, plain, named)
    after = trained(tmp_path / "after", 15, plain, named, warm_start=before)
    write_start(
        after.model_folder(model, 0) / "best.safetensors",
        before,
        name=model,
        model=after.model(model),
        settings=after.recipe.training,
        encoder=after.encoder,
        seed=0,
        objective={},
    )
    rows = day(0)["test"].filter(pl.col("user_id") >= 15)
    one, other = (run.predict(rows)[f"click{PREDICTION}"].to_numpy() for run in (before, after))
    assert users(after) != users(before)
    assert one.std() > 0
    np.testing.assert_allclose(other, one, atol=1e-6)


def test_new_ids_come_in_and_the_least_recent_go(monday: Run, tuesday: Run) -> None:
    assert users(monday) == sorted(day(0)["train"]["user_id"].unique())
    today = set(day(15, seed=15)["train"]["user_id"])
    assert len(users(tuesday)) == 40
    assert today <= set(users(tuesday)) <= today | set(users(monday))


def test_numbers_are_scaled_by_all_rows_so_far(monday: Run, tuesday: Run) -> None:
    ages = [day(0)["train"]["age"], day(15, seed=15)["train"]["age"]]
    state, together = tuesday.encoder.states["age"], pl.concat(ages)
    assert state.mean == pytest.approx(together.mean())
    assert state.sd == pytest.approx(together.std(ddof=0))
    assert monday.encoder.states["age"].mean == pytest.approx(ages[0].mean())


def test_the_first_checkpoint_holds_rows_and_states_of_the_known_ids(
    monday: Run, tmp_path: Path
) -> None:
    after = trained(
        tmp_path / "after",
        15,
        "training.learning_rate=1e-30",
        "training.embedding_learning_rate=1e-30",
        warm_start=monday,
    )
    old, new = checkpoint(monday), checkpoint(after)
    name = next(k for k in old if k.startswith("model.") and "tables.4" in k)
    (state,) = {k for k in old if k.endswith(".last")}
    kept = [u for u in users(after) if u in users(monday)]
    was, now = ([3 + users(run).index(u) for u in kept] for run in (monday, after))
    assert torch.allclose(new[name][now], old[name][was])
    assert (old[state] > 0).sum() > 10
    assert (new[state][now] >= old[state][was]).all()


def test_the_report_says_where_the_run_started(tuesday: Run, monday: Run) -> None:
    notes = " ".join(tuesday.info.facts.notes)
    assert "continues from run monday" in notes
    assert "user_id: 15 new values, 5 dropped, 25 kept." in notes
    assert tuesday.info.warm_start == str(monday.folder)


def test_the_report_names_a_cross_that_starts_from_new_weights(
    monday: Run, tuesday: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cross = {"pair": {"kind": "cross", "columns": ["user_id", "genre"], "hash_buckets": 50}}
    encoders: list[Encoder] = []
    for run in (monday, tuesday):
        columns = {**run.recipe.schema_.plain()["columns"], **cross}
        schema = Schema.model_validate({"columns": columns, "tasks": {"click": "binary"}})
        encoders.append(Encoder(schema, run.encoder.states, run.encoder.label_scales))
    earlier = cast("Run", SimpleNamespace(folder=monday.folder, encoder=encoders[0]))
    assert not [note for note in start_notes(earlier, encoders[1]) if "pair" in note]
    monkeypatch.setattr(carry_over, "MOST_COMBINATIONS", 10)
    (note,) = [note for note in start_notes(earlier, encoders[1]) if "pair" in note]
    assert note.startswith("pair: starts from new weights")


def test_a_third_day_counts_all_rows_before(tuesday: Run, tmp_path: Path) -> None:
    wednesday = trained(tmp_path / "wednesday", 30, warm_start=str(tuesday.folder))
    ages = [day(f, seed=f)["train"]["age"] for f in (0, 15, 30)]
    assert wednesday.encoder.states["age"].mean == pytest.approx(pl.concat(ages).mean())


def test_a_rare_id_comes_in_once_it_has_been_seen_often_enough(tmp_path: Path) -> None:
    often = "schema.columns.user_id={kind: categorical, min_count: 8}"
    one = trained(tmp_path / "one", 0, often)
    two = trained(tmp_path / "two", 0, often, warm_start=one)
    counts = day(0)["train"]["user_id"].value_counts()
    assert users(one) == sorted(counts.filter(pl.col("count") >= 8)["user_id"])
    assert users(two) == sorted(counts.filter(pl.col("count") >= 4)["user_id"])


@pytest.mark.parametrize(
    "history",
    [{"pooling": "attention"}, {"pooling": "bsarec"}, {"pooling": "hstu", "times": True}],
    ids=["attention", "bsarec", "times"],
)
def test_a_retriever_goes_on_with_its_items(history: dict[str, Any], tmp_path: Path) -> None:
    section = films.recipe(tmp_path, training={"epochs": 1})
    plain = yaml.safe_load(section.to_yaml())
    plain["schema"]["columns"]["had"] |= history
    plain["data"]["times"] = {"time": "s"}
    section = Recipe.model_validate(plain)
    rows = films.watches().sort("time")
    parts = [rows.filter(pl.col("film") < "f30"), rows.filter(pl.col("film") >= "f15")]
    data = section.data.model_copy(update={"path": None})
    section = section.model_copy(update={"data": data})
    one = fit(section, data=parts[0], out=tmp_path / "one", quiet=True)
    plain["retrieval"]["history"] = {"column": "had", "events": ["click"], "length": 20}
    live = Recipe.model_validate(plain).model_copy(update={"data": data})
    two = fit(live, data=parts[1], out=tmp_path / "two", warm_start=one, quiet=True)
    assert two.encoder.tables["film"].size > one.encoder.tables["film"].size
    path = tmp_path / "start.safetensors"
    start = two.model("two_tower")
    write_start(
        path, one, name="two_tower", model=start, settings=section.training,
        encoder=two.encoder, seed=0, objective={},
    )  # fmt: skip
    ids = pl.Series(["f03", "f16", "f29"])
    vectors = []
    for run, model in ((one, one.model("two_tower")), (two, start)):
        codes = torch.from_numpy(run.encoder.tables["film"].encode(ids)).long()
        store = next(m for m in model.modules() if isinstance(m, EmbeddingStore))
        vectors.append(store.field("film", codes_of(run, codes), {}))
    assert torch.equal(*vectors)
    layers = {n: p for n, p in start.named_parameters() if ".pools." in n}
    assert layers
    known = dict(one.model("two_tower").named_parameters())
    assert all(torch.equal(parameter, known[name]) for name, parameter in layers.items())


@dataclass(frozen=True)
class FrozenTower:
    """A run, and one that started from it with a frozen query tower; films share their table?"""

    shared: bool
    before: Run
    after: Run


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "own"])
def frozen_tower(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FrozenTower:
    folder = tmp_path_factory.mktemp("frozen")
    section = films.recipe(folder, training={"epochs": 1, "refit": True})
    plain = yaml.safe_load(section.to_yaml())
    del plain["data"]["path"]
    if not request.param:
        del plain["schema"]["columns"]["had"]["table"]
    rows = films.watches(1500).sort("time")
    parts = [rows.filter(pl.col("film") < "f30"), rows.filter(pl.col("film") >= "f15")]
    parts[1] = parts[1].with_columns(device=pl.col("device").replace("tv", "watch"))
    one = fit(Recipe.model_validate(plain), data=parts[0], out=folder / "one", quiet=True)
    plain["training"] |= {"freeze": "query_tower", "epochs": 2}
    recipe = Recipe.model_validate(plain)
    two = fit(recipe, data=parts[1], out=folder / "two", warm_start=one, quiet=True)
    return FrozenTower(request.param, one, two)


def test_a_frozen_query_tower_stays_as_it_was(frozen_tower: FrozenTower) -> None:
    before, after = (Retriever.open(run) for run in (frozen_tower.before, frozen_tower.after))
    assert query_difference(after, before) is None
    for history in (["f03", "f16"], ["f50"], []):
        query = {"device": "watch"}
        one, two = (r.query(None, query, history=history)[0] for r in (before, after))
        assert np.array_equal(one, two)
    weights = [r.model.state_dict()["item_tower.head.weight"] for r in (before, after)]
    assert not torch.equal(*weights)


def test_frozen_tables_leave_new_values_out(frozen_tower: FrozenTower) -> None:
    """New films have rows of their own, unless the history shares their table."""
    shared, after = frozen_tower.shared, frozen_tower.after
    words = "{}: frozen with the query tower; {} new values count as unseen."
    notes = after.info.facts.notes
    assert words.format("device", 1) in notes
    assert (words.format("film", 27) in notes) == shared
    assert (words.format("had", 27) in notes) == (not shared)
    retriever = Retriever.open(after)
    drama = retriever.catalogue.places_of(pl.Series(["f33", "f36", "f39"]))
    vectors = retriever.vectors[drama]  # of films that differ in nothing but their id
    assert (len(np.unique(vectors, axis=0)) == 1) == shared


def test_optimiser_states_of_a_frozen_tower_stay(frozen_tower: FrozenTower) -> None:
    runs = (frozen_tower.before, frozen_tower.after)
    model = runs[0].model("two_tower")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    old, new = (load_file(run.model_folder("two_tower", 0) / REFIT) for run in runs)
    parts = [rows_of(run.model("two_tower")) for run in runs]
    found = dict[str, bool]()
    for place, optimizer in enumerate(build_optimizers(model, runs[0].recipe.training)):
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        for number, parameter in enumerate(owned):
            for key in old:
                if not key.startswith(f"optimizer.{place}.{number}."):
                    continue
                name, state = names[id(parameter)], key.rpartition(".")[2]
                if name.startswith("embed.tables"):
                    if old[key].ndim:
                        found |= {
                            f"{table}.{state}": torch.equal(
                                old[key][parts[0][table]], new[key][parts[1][table]]
                            )
                            for table in parts[0]
                        }
                else:
                    found[f"{name}.{state}"] = torch.equal(old[key], new[key])
    kept = {name for name, same in found.items() if same}
    history = "film" if frozen_tower.shared else "had"
    frozen = ("query_tower.", "embed.pools.", "device.", f"{history}.")
    assert kept == {name for name in found if name.startswith(frozen)}
    assert {
        f"{history}.moments",
        "query_tower.head.weight.exp_avg",
        "query_tower.head.bias.step",
    } <= kept
    assert {"genre.moments", "item_tower.head.weight.exp_avg"} <= set(found) - kept


def rows_of(model: torch.nn.Module) -> dict[str, slice]:
    """Rows of each table; all tables have one width."""
    (store,) = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    (parts,) = store.code_rows().values()
    return {part.table: slice(part.start, part.start + part.size) for part in parts}


def test_a_freeze_needs_an_earlier_run(tmp_path: Path) -> None:
    section = films.recipe(tmp_path, training={"freeze": "query_tower"})
    with pytest.raises(RecipeError, match=r"training.freeze: .*none is given.*--from RUN"):
        fit(section, out=tmp_path / "no", quiet=True)
    assert not (tmp_path / "no").exists()


def test_a_freeze_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    """Before any row is read: the item is its embedding, which the history shares."""
    had = {"kind": "sequence", "table": "film", "max_len": 5}
    section = films.recipe(tmp_path, model={"item": ["film"]}, training={"epochs": 1})
    plain = yaml.safe_load(section.to_yaml())
    plain["schema"]["columns"] = {"had": had, "film": "categorical"}
    one = fit(Recipe.model_validate(plain), out=tmp_path / "one", quiet=True)
    plain["training"]["freeze"] = "query_tower"
    with pytest.raises(RecipeError, match="leaves nothing to train"):
        fit(Recipe.model_validate(plain), out=tmp_path / "two", warm_start=one, quiet=True)
    with pytest.raises(RecipeError, match="needs a two_tower model, got Linear"):
        freeze(torch.nn.Linear(1, 1), "query_tower")


def codes_of(run: Run, codes: torch.Tensor) -> torch.Tensor:
    """Return a batch's codes with those of films, all others missing."""
    names = [field.name for field in run.encoder.layout.codes]
    columns = torch.ones(len(codes), len(names), dtype=torch.long)
    columns[:, names.index("film")] = codes
    return columns


def test_a_refit_starts_warm_as_well(monday: Run, tmp_path: Path) -> None:
    still = ["training.learning_rate=1e-30", "training.embedding_learning_rate=1e-30"]
    run = trained(tmp_path / "refit", 0, *still, "training.refit=true", warm_start=monday)
    new = load_file(run.model_folder("wide_deep", 0) / REFIT)
    name = next(
        k for k in new if k.startswith("model.") and k.endswith("weight") and new[k].ndim == 2
    )
    assert torch.allclose(new[name], checkpoint(monday)[name])


def test_a_run_of_an_earlier_version_starts_too(monday: Run, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(monday.folder, old)
    for path in (old / "encoder").glob("*"):
        if path.name.startswith(("learned", "seen")):
            path.unlink()
    assert len(users(trained(tmp_path / "new", 15, warm_start=old))) == 40


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("schema.columns.genre={kind: categorical, dim: 2}", "schema.*columns.*genre"),
        ("model.hidden=[16]", "no model 'wide_deep' with the same options"),
        ("training.embedding_optimizer=rowwise_adagrad", "embedding_optimizer"),
        ("training.wide_alpha=0.01", "wide_alpha differs.*0.05 there, 0.01 here"),
        ("training.seed=5", "was not trained with seed 5"),
    ],
)
def test_what_has_no_place_for_the_weights_is_refused(
    monday: Run, tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(RunError, match=words):
        trained(tmp_path / "no", 15, override, warm_start=monday)
    assert not (tmp_path / "no").exists()


def test_a_training_that_has_not_begun_needs_the_earlier_run(monday: Run, tmp_path: Path) -> None:
    start, gone = tmp_path / "start", tmp_path / "gone"
    shutil.copytree(monday.folder, start)
    run = trained(tmp_path / "new", 15, warm_start=start)
    start.rename(gone)
    shutil.rmtree(run.folder / "models")
    with pytest.raises(RunError, match=r"wide_deep with seed 0 starts from .*start.*put that run"):
        fit(run.folder, data=day(15, seed=15), resume=True, quiet=True)
    gone.rename(start)
    fit(run.folder, data=day(15, seed=15), resume=True, quiet=True)
    assert (run.folder / "metrics.json").is_file()


@pytest.mark.parametrize("key", ["columns", "tasks"])
def test_columns_and_tasks_in_another_order_are_refused(key: str, tmp_path: Path) -> None:
    tasks = "schema.tasks={click: binary, again: {kind: binary, column: click}}"
    before = trained(tmp_path / "before", 0, "model={name: mmoe}", tasks)
    schema = before.recipe.schema_.plain()
    schema[key] = dict(reversed(schema[key].items()))
    recipe = before.recipe.model_copy(update={"schema_": Schema.model_validate(schema)})
    with pytest.raises(RunError, match=f"its order of {key} differs.*there.*here"):
        fit(recipe, data=day(15), out=tmp_path / "no", warm_start=before, quiet=True)


def test_resuming_and_starting_exclude_each_other(monday: Run) -> None:
    with pytest.raises(RecipeError, match="give either"):
        trained(monday.folder, 0, warm_start=monday, resume=True)


def test_the_command_starts_from_a_run(
    monday: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in day(15, seed=15).items():
        rows.write_parquet(tmp_path / f"{name}.parquet")
    text = TEXT + "data: {path: train.parquet, valid: valid.parquet, test: test.parquet}\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    out = tmp_path / "run"
    command = ["crosstower", "fit", str(path), "--from", str(monday.folder), "--out", str(out)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    assert load_encoder(out / "encoder").tables["user_id"].size == 43
