import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.evaluation.reports.content import DataFacts, ReportContent, SeedHistory
from crosstower.evaluation.reports.report import render_report, write_report
from crosstower.evaluation.reports.task_report import task_report

from .conftest import Page

HOSTILE = "<script>alert('x')</script>"


def predictions(seed: int) -> pl.DataFrame:
    world, random = np.random.default_rng(0), np.random.default_rng(seed)
    score = world.normal(size=800)
    click = (world.random(800) < 1 / (1 + np.exp(-score))).astype(float)
    return pl.DataFrame(
        {
            "user": world.integers(0, 20, 800),
            "place": world.choice([HOSTILE, "Oslo"], 800),
            "click": click,
            "click__prediction": 1 / (1 + np.exp(-score - 0.3 * random.normal(size=800))),
            "stars": 3 + score.clip(-2, 2),
            "stars__prediction": np.full(800, 3.0),
        }
    )


MODELS = {HOSTILE: [predictions(1), predictions(2)], "MLP": [predictions(3), predictions(4)]}


def content(*, trainings: bool = True, models=MODELS) -> ReportContent:
    history = [
        {"epoch": i, "train_loss": 0.7 - i / 10, "valid": {"click.auc": 0.6 + i / 50}}
        for i in range(3)
    ]
    return ReportContent(
        title=f"Run {HOSTILE}",
        date="25 November 2025",
        recipe=f"name: {HOSTILE}\n",
        data=DataFacts(
            source="rows & more.parquet",
            split="by time",
            rows={"train": 12_345, "test": 800},
            base_rates={"click": {"train": 0.4321, "test": 0.5}},
            notes=(f"3 rows were skipped: {HOSTILE}",),
        ),
        tasks=(
            task_report(
                task="click", kind="binary", models=models, constant=0.4321, group="user",
                slices=("place",),
            ),
            task_report(task="stars", kind="rating", models=models, constant=3.0),
        ),
        trainings=(SeedHistory(1, history), SeedHistory(2, history)) if trainings else (),
        environment={"torch": "2.13.0", "Seeds": "1, 2"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def report() -> ReportContent:
    return content()


@pytest.fixture(scope="module")
def html(report) -> str:
    return render_report(report)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_every_tag_is_closed(page):
    assert page.open == []


def test_nothing_is_fetched_from_elsewhere(html, page):
    assert "://" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_the_file_is_below_a_megabyte(html):
    assert len(html.encode()) < 1_000_000


def test_hostile_values_are_text(html, page):
    assert "<script" not in html
    assert page.words.count(HOSTILE) >= 6  # title, heading, model, recipe, note, slice


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "a":
            assert (attributes["href"] or "").removeprefix("#") in ids


def test_the_numbers_given_are_there(report, page):
    for task in report.tasks:
        for model in task.models:
            metric = model.metrics["auc" if task.kind == "binary" else "rmse"]
            assert f"{metric.mean:.4f}" in page.words
            assert not metric.sd or f"± {metric.sd:.4f}" in page.words
        for sentence in task.verdicts:
            assert sentence in page.words
    gain = report.tasks[0].lifts[0]
    assert f"{100 * gain.reductions['log_loss']:+.2f} %".replace("-", "\u2212") in page.words
    assert f"{gain.difference.value:+.4f}".replace("-", "\u2212") in page.words


def test_facts_about_data_and_machine_are_there(page):
    for fact in ("12,345", "0.4321", "rows & more.parquet", "by time", "2.13.0", "13,145 rows"):
        assert fact in page.words


def test_slices_are_there(report, page):
    for name, rows in report.tasks[0].slices[0].table.select("slice", "rows").iter_rows():
        assert f"{name} {rows}" in page.words or f"{name}{rows}" in page.words


def test_it_can_be_read_by_ear(html, page):
    tags = page.tags
    assert ("html", {"lang": "en"}) in tags
    assert all(a.get("scope") in ("col", "row") for tag, a in tags if tag == "th")
    plots = [a for tag, a in tags if a.get("role") == "img"]
    assert len(plots) == html.count("<svg") == 4  # two calibrations, AUC by epoch, training loss
    assert all(a["aria-label"] for a in plots)
    assert [tag for tag, _ in tags].count("h1") == 1


def test_both_themes_define_every_colour(html):
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    light, dark, paper = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)
    for theme in (light, dark, paper):
        assert used <= set(re.findall(r"(--[\w-]+):", theme))


def test_one_seed_without_training_shows_no_spread():
    frames = {name: seeds[:1] for name, seeds in MODELS.items()}
    words = Page(render_report(content(trainings=False, models=frames))).words
    assert "One seed." in words
    assert "Training loss" not in words
    assert (
        "±"
        not in words.replace("In the sentences above, ±", "").split("Metrics")[1].split("Lift")[0]
    )


def test_undefined_metrics_are_dashes():
    frames = {n: [f.with_columns(click=pl.lit(0.0)) for f in fs] for n, fs in MODELS.items()}
    words = Page(render_report(content(models=frames))).words
    assert "nan" not in words.lower()
    assert "\N{EN DASH}" in words
    assert "AUC is not defined: all 800 labels are 0" in words


def test_no_labels_at_all_still_give_a_page():
    frames = {
        n: [f.with_columns(click=pl.lit(None, pl.Float64)) for f in fs] for n, fs in MODELS.items()
    }
    page = Page(render_report(content(models=frames)))
    assert page.open == []
    assert "No test row has a label" in page.words


def test_it_is_written_into_a_new_folder(tmp_path, report, html):
    path = write_report(tmp_path / "new" / "report.html", report)
    assert path.read_text(encoding="utf-8") == html


def test_a_path_that_cannot_be_written_is_named(tmp_path, report):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"report .*file/report\.html: cannot be written"):
        write_report(Path(tmp_path / "file" / "report.html"), report)
