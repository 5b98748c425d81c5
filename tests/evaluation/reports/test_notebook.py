from pathlib import Path

import numpy as np

from crosstower.evaluation.metrics.calibration import reliability_curve
from crosstower.evaluation.reports.content import CalibrationCurve, SeedHistory
from crosstower.evaluation.reports.notebook import Panel, html_table, run_figure

EPOCHS = [{"epoch": i, "train_loss": 1.0, "valid": {"click.auc": 0.6 + 0.1 * i}} for i in range(3)]


def calibration() -> CalibrationCurve:
    random = np.random.default_rng(0)
    p = random.beta(1, 5, 2000)
    y = (random.random(2000) < p).astype(float)
    counts, edges = np.histogram(p, bins=40)
    return CalibrationCurve(reliability_curve(y, p), edges, counts)


def test_every_value_of_a_table_is_escaped() -> None:
    html = html_table("<b>", ["<i>"], [["<script>"]], notes=["<p>"], links=[Path('a"><b')])
    for raw in ("<script>", "<i>", "<p>", 'a"><b'):
        assert raw not in html
    assert "&lt;script&gt;" in html


def test_columns_of_text_are_left_aligned_and_numbers_are_not() -> None:
    html = html_table("t", ["model", "AUC"], [["mlp", "0.71"], ["", "–"]])
    assert '<th style="text-align:left">model</th><th>AUC</th>' in html
    assert '<td style="text-align:left">mlp</td><td>0.71</td>' in html


def test_links_are_relative_where_the_path_is() -> None:
    assert 'href="runs/a/report.html"' in html_table(
        "t", [], [], links=[Path("runs/a/report.html")]
    )
    assert 'href="file:///runs/report.html"' in html_table(
        "t", [], [], links=[Path("/runs/report.html")]
    )


def test_a_figure_draws_each_panel_and_one_line_per_seed() -> None:
    panels = [
        Panel("click.auc", "click: AUC", calibration=calibration()),
        Panel("like.auc", "like: AUC", calibration=calibration()),
    ]
    figure = run_figure(panels, [SeedHistory(0, EPOCHS), SeedHistory(1, EPOCHS)])
    assert len(figure.axes) == 6
    curves = figure.axes[0]
    assert curves.get_title() == "click: AUC"
    assert [line.get_label() for line in curves.lines if line.get_label()[0] != "_"] == [
        "seed 0",
        "seed 1",
    ]
    assert curves.lines[0].get_ydata().tolist() == [0.6, 0.7, 0.8]  # type: ignore[union-attr]


def test_a_figure_without_calibration_has_curves_alone() -> None:
    figure = run_figure([Panel("click.auc", "AUC")], [SeedHistory(0, EPOCHS)])
    assert len(figure.axes) == 1


def test_a_figure_is_a_picture_in_a_notebook() -> None:
    figure = run_figure([Panel(None, "loss")], [SeedHistory(0, EPOCHS)])
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
