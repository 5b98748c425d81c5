import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.blend_content import BlendContent, Distribution
from crosstower.evaluation.reports.blend_report import render_blend_report, write_blend_report
from crosstower.evaluation.reports.content import ModelMetrics

from .conftest import Page

pytestmark = pytest.mark.usefixtures("drawn_plots")

HOSTILE = '<b>&"'
SECTIONS = {"findings", "orders", "types", "distributions", "front", "blend", "utility", "notes"}
NAN = float("nan")


class BlendPage(Page):
    """Reads a page strictly, cell by cell."""

    def handle_endtag(self, tag):
        super().handle_endtag(tag)
        self.text += " " * (tag in ("th", "td"))

    @property
    def sections(self) -> set[str]:
        return {a["id"] or "" for tag, a in self.tags if tag == "section" and "id" in a}

    def count(self, tag: str, name: str = "") -> int:
        return sum(t == tag and name in (a.get("class") or "") for t, a in self.tags)


def metrics(seeds: int, task: str = "like", start: float = 0.1) -> dict[str, Summary]:
    names = ["share.video", f"share.{HOSTILE}", f"total.{task}", f"ndcg.{task}", "utility",
             "gauc.comment", "ndcg.comment"]  # fmt: skip
    return {
        name: Summary.of([start + i / 7 + seed / 100 for seed in range(seeds)])
        for i, name in enumerate(names)
    }


def shares(kinds=("video", HOSTILE, None)) -> pl.DataFrame:
    ranks = [rank for rank in (1, 2, 3) for _ in kinds]
    rows = [10 * (i + 1) for _ in (1, 2, 3) for i in range(len(kinds))]
    table = pl.DataFrame({"rank": ranks, "type": list(kinds) * 3, "rows": rows})
    return table.with_columns(share=pl.col("rows") / pl.col("rows").sum().over("rank"))


def distribution(task: str, kinds=("video", HOSTILE)) -> Distribution:
    counts = {kind: np.array([1.0, 2.0, 3.0]) for kind in kinds}
    edges = np.linspace(0, 1, 4)
    return Distribution(task, counts, edges, {k: v[::-1] for k, v in counts.items()}, edges)


def front(tasks=("like", "comment"), blends: int = 8) -> pl.DataFrame:
    random = np.random.default_rng(0)
    table = pl.DataFrame({f"ndcg.{task}": random.random(blends) for task in tasks})
    number = pl.int_range(pl.len())
    return table.with_columns(
        utility=0.25 + number / 100, front=number < 3, chosen=number == 1, feasible=number != 5
    )


def content(seeds: int = 3, **changes) -> BlendContent:
    first = metrics(seeds)
    whole = BlendContent(
        title=f"Feed {HOSTILE}",
        date="25 November 2025",
        blend=f"weights:\n  {HOSTILE}: 1\n",
        rows=12_345,
        users=678,
        user=f"user {HOSTILE}",
        k=10,
        utility="values: {like: 1}\n",
        sentences=(f"The blend of {HOSTILE} is better.", "Second."),
        orders=(
            ModelMetrics("blend", "model", first, {"ndcg.like": (0.4321, 0.5432)}),
            ModelMetrics(HOSTILE, "baseline", metrics(seeds, start=0.2), {}),
            ModelMetrics("shuffled", "constant", {"utility": Summary.of([NAN])}, {}),
        ),
        by=f"type {HOSTILE}",
        shares={"blend": shares(), HOSTILE: shares()},
        distributions=(distribution("like"), distribution(HOSTILE)),
        front=front(("like", HOSTILE)),
        notes=(f"3 rows {HOSTILE} were left out.",),
    )
    return replace(whole, **changes)


def page_of(**changes) -> BlendPage:
    """Read a page without plots, which take time, beside those that are asked for."""
    bare = {"shares": {}, "distributions": (), "front": None}
    return BlendPage(render_blend_report(content(**bare | changes)))


@pytest.fixture(scope="module")
def html() -> str:
    return render_blend_report(content())


@pytest.fixture(scope="module")
def page(html) -> BlendPage:
    return BlendPage(html)


def test_every_tag_is_closed_and_every_section_is_there(page):
    assert page.open == []
    assert page.sections == SECTIONS


def test_nothing_is_fetched_from_elsewhere(html, page):
    assert "://" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_every_given_name_is_text(html, page):
    assert HOSTILE not in html
    for place in (
        f"Feed {HOSTILE}",
        f"lists by user {HOSTILE}",
        f"The blend of {HOSTILE} is better.",
        f"Share of {HOSTILE}",
        f"Content types type {HOSTILE}",
        f"video {HOSTILE}",  # the legends
        f"like and {HOSTILE} \N{UPWARDS ARROW} NDCG@10 of {HOSTILE}",
        f"weights: {HOSTILE}: 1",
        f"3 rows {HOSTILE} were left out.",
    ):
        assert place in page.words.replace(f"{HOSTILE} video", f"video {HOSTILE}")


def test_no_given_name_is_drawn(html):
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    for name in ("video", "&lt;", "comment", "blend", "like"):
        assert name not in drawn


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links
    assert {(link or "").removeprefix("#") for link in links} <= set(ids)


def test_metrics_are_called_by_field_words_and_stand_by_kind(page):
    heads = "Utility NDCG@10 of like NDCG@10 of comment gAUC of comment"
    assert f"Order {heads} blend" in page.words
    assert "Order Total like@10 blend" in page.words
    assert f"Order Share of video Share of {HOSTILE} blend" in page.words


def test_the_numbers_given_are_there(page):
    for order in content().orders[:2]:
        for metric, summary in order.metrics.items():
            mean, sd = summary.mean, summary.sd or NAN
            if metric.startswith("share."):
                cell = f"{100 * mean:.1f} % ± {100 * sd:.1f} %"
            else:
                digits = 3 if metric.startswith("total.") else 4
                cell = f"{mean:.{digits}f} ± {sd:.{digits}f}"
            assert cell in page.words.replace("±", " ±").replace("  ±", " ±")
    assert "0.4321 to 0.5432" in page.words
    assert "12,345 rows in 678 lists" in page.words
    assert "over 3 seeds" in page.words


def test_our_row_is_marked_and_cards_show_it_beside_the_others(page):
    roles = [a.get("class") for tag, a in page.tags if tag == "tr" and a.get("class")]
    assert roles == ["model", "baseline", "constant"] * 3
    assert page.count("a", "card") == 3  # utility and two NDCGs
    utility = content().orders[0].metrics["utility"].mean
    assert f"Utility {utility:.4f} blend {HOSTILE}" in page.words


def test_what_is_not_defined_is_a_dash(page):
    assert "nan" not in page.words.lower()
    assert "shuffled \N{EN DASH}" in page.words


def test_an_interval_that_is_not_defined_is_left_out():
    order = ModelMetrics("blend", "model", metrics(1), {"ndcg.like": (NAN, NAN)})
    words = page_of(orders=(order,)).words
    assert "\N{EN DASH} to" not in words
    assert "nan" not in words.lower()


def test_one_seed_shows_no_spread():
    words = page_of(seeds=1).words
    assert "One seed." in words
    assert "±" not in words


def test_seeds_that_agree_show_no_spread():
    order = ModelMetrics("blend", "model", {"utility": Summary.of([0.5, 0.5])}, {})
    words = page_of(orders=(order,)).words
    assert "± 0" not in words
    assert "Mean ± standard deviation over 2 seeds; no ± where they agree." in words


def test_expected_totals_are_explained_where_there_are_any():
    order = ModelMetrics("blend", "model", {"expected.like": Summary(1.5)}, {})
    words = page_of(orders=(order,)).words
    assert "Expected like@10" in words
    assert "true probabilities" in words
    assert "true probabilities" not in page_of().words


def test_a_metric_of_another_kind_keeps_its_name():
    order = ModelMetrics("blend", "model", {"novelty": Summary(1.5)}, {})
    assert "Order novelty blend 1.5000" in page_of(orders=(order,)).words


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"sentences": ()}, {"findings"}),
        ({"orders": (), "shares": {}}, {"orders", "types"}),
        ({"distributions": ()}, {"distributions"}),
        ({"front": None}, {"front"}),
        ({"front": front(("like",))}, {"front"}),
        ({"front": front().clear()}, {"front"}),
        ({"utility": None}, {"utility"}),
        ({"notes": ()}, {"notes"}),
    ],
)
def test_sections_without_content_are_left_out(changes, gone):
    whole = {"shares": {"blend": shares()}, "distributions": (distribution("like"),)}
    page = page_of(**whole | {"front": front()} | changes)
    assert page.open == []
    assert page.sections == SECTIONS - gone


def test_without_a_type_column_there_are_no_types_and_no_legend():
    order = ModelMetrics("blend", "model", {"utility": Summary(0.5)}, {})
    page = page_of(orders=(order,), by=None, distributions=(distribution("like", ["all"]),))
    assert "types" not in page.sections
    assert page.count("ul", "legend") == 0
    assert page.count("svg") == 2


def test_plots_are_one_an_order_two_a_task_and_one_a_pair(page):
    plots = [a for _, a in page.tags if a.get("role") == "img"]
    assert len(plots) == 2 + 2 * 2 + 1
    assert all(a["aria-label"] for a in plots)
    assert page.count("svg") == len(plots) + page.count("svg", "key")


def test_a_type_has_the_same_colour_in_all_plots_and_missing_is_named():
    words = page_of(shares={"blend": shares()}, distributions=(distribution("like"),)).words
    assert words.count(f"missing {HOSTILE} video") == 2  # 180, 120 and 60 rows; areas and lines


def test_types_beyond_five_are_one():
    kinds = [f"type {i}" for i in range(8)]
    page = page_of(shares={"blend": shares(kinds)}, distributions=(distribution("like", kinds),))
    legend = "type 7 type 6 type 5 type 4 type 3 3 other types"
    assert page.words.count(legend) == 2
    one_more = page_of(shares={"blend": shares(kinds[:6])})
    assert "type 1 1 other type blend" in one_more.words


def test_the_grey_is_the_sum_of_the_other_types():
    html = render_blend_report(
        content(
            shares={"blend": shares([f"type {i}" for i in range(8)])}, distributions=(), front=None
        )
    )
    found = {
        colour: [
            max(ys) - min(ys)
            for d in re.findall(rf'<path d="([^"]*)"[^>]*style="fill: var\(--{colour}\)', html)
            if len(ys := [float(y) for y in re.findall(r"[ML] \S+ (\S+)", d)]) == 4
        ]
        for colour in ("soft", "paper")
    }
    assert len(found["soft"]) == 3  # places
    # 10, 20 and 30 of 360 rows at each place; the paper behind a bar is as high as all of it.
    assert np.allclose(np.array(found["soft"]) / found["paper"][:3], 60 / 360, atol=1e-4)


def test_a_pair_of_tasks_has_a_plot_up_to_six():
    for tasks, drawn in ((2, 1), (3, 3), (4, 6), (5, 6)):
        page = page_of(front=front([f"t{i}" for i in range(tasks)]))
        assert page.count("figure") == drawn
    assert "4 more pairs of tasks are not drawn" in page.words


def test_the_front_is_told_in_words(page):
    assert "8 blends; 3 are on the front" in page.words
    assert "7 keep to all constraints" in page.words
    assert "The chosen one has utility 0.2600 here" in page.words
    assert "breaks a constraint the chosen blend" in page.words


def test_a_sweep_without_utility_or_constraints_is_shown_as_it_is():
    table = front().drop("utility").with_columns(feasible=pl.lit(value=True), chosen=pl.lit(False))
    words = page_of(front=table, utility=None).words
    assert "8 blends; 3 are on the front" in words
    for word in ("constraint", "chosen"):
        assert word not in words


def test_tasks_and_blends_without_ndcg_are_not_drawn():
    table = front(("like", "comment", "rare"))
    table = table.with_columns(pl.lit(NAN).alias("ndcg.rare"))
    holes = pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(pl.col("ndcg.like"))
    page = page_of(front=table.with_columns(holes.alias("ndcg.like")))
    assert page.count("figure") == 1
    assert "nan" not in page.text.lower()


def test_it_can_be_read_by_ear(page):
    assert ("html", {"lang": "en"}) in page.tags
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    assert page.count("h1") == 1
    assert all(a.get("aria-hidden") == "true" for _, a in page.tags if a.get("class") == "key")


def test_both_themes_define_every_colour(html):
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    light, dark, paper = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)
    for theme in (light, dark, paper):
        assert used <= set(re.findall(r"(--[\w-]+):", theme))


def test_the_same_content_gives_the_same_page(html):
    assert render_blend_report(content()) == html
    assert len(html.encode()) < 300_000


def test_it_is_written_into_a_new_folder(tmp_path, html):
    path = write_blend_report(tmp_path / "new" / "blend.html", content())
    assert path == tmp_path / "new" / "blend.html"
    assert path.read_text(encoding="utf-8") == html


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"report .*file/blend\.html: cannot be written"):
        write_blend_report(tmp_path / "file" / "blend.html", content())
