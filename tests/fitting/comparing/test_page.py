from pathlib import Path

import pytest

from crosstower.fitting.comparing import page
from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.page import render_comparison_page, sentences_of
from crosstower.fitting.comparing.result import Comparison, TaskComparison
from crosstower.training.run import Run

pytestmark = pytest.mark.usefixtures("drawn_plots")


@pytest.fixture
def compared(rankers: tuple[Run, Run, Run]) -> Comparison:
    return compare(rankers)


def test_the_page_escapes_names_and_draws_every_curve(
    rankers: tuple[Run, Run, Run], compared: Comparison, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    compare(rankers, page=path)
    html = path.read_text()
    assert html == render_comparison_page(compared)
    assert "blind<b>" not in html
    assert "blind&lt;b&gt;" in html
    assert "http" not in html
    assert html.count('id="curve0-') > 0
    assert html.count('id="loss-') > 0
    assert html.count('class="key"') == 3
    assert sentences_of(compared)[0].startswith("click: bad against good: AUC −0.")


def test_p_is_named_adjusted_with_several_runs(compared: Comparison) -> None:
    three = compared.tasks[0]
    two = TaskComparison(three.name, three.rows, three.metrics, {"bad": three.tests["bad"]})
    assert page.tests_table(three).columns[4] == "p (Holm)"
    assert page.tests_table(two).columns[4] == "p"
