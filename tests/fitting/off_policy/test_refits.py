"""Bootstrap refits give the direct method its standard error."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.cli.off_policy import print_policy
from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.off_policy.evaluate import evaluate_policy
from crosstower.recipe.loading import parse_recipe
from crosstower.training.run import Run

from ...fixtures.bandit import (
    ASK,
    RECIPE,
    bandit_log,
)


@pytest.mark.slow
def test_refits_give_the_direct_method_a_standard_error(
    bandit_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate_policy(bandit_run, **ASK, temperature=0.1, refits=2)
    once = evaluate_policy(bandit_run, **ASK, temperature=0.1)
    found = report.policies["model"]
    assert found["direct_method"].value == once.policies["model"]["direct_method"].value
    assert found["doubly_robust"] == once.policies["model"]["doubly_robust"]
    assert found["direct_method"].standard_error > 1e-4
    assert report.facts.refits == 2
    print_policy(report)
    assert "the spread of 2 bootstrap refits" in capsys.readouterr().out
    print_policy(once)
    assert (
        "direct: no interval, as one model does not show its own error" in capsys.readouterr().out
    )


def test_refits_of_a_run_of_a_frame_are_refused(tmp_path: Path, bandit_rows: pl.DataFrame) -> None:
    recipe = parse_recipe(RECIPE, ["training.epochs=1"])
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": None})})
    run = fit(recipe, data=bandit_rows, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="cannot be trained again; train from a file"):
        evaluate_policy(run, **ASK, data=bandit_log(300, seed=3), refits=2)
