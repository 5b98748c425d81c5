from pathlib import Path

import pytest

from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.page import render_comparison_page, sentences_of
from crosstower.fitting.comparing.result import Comparison
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
