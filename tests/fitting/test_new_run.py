from pathlib import Path

import pytest

from crosstower.fitting import fit as fitting
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


def test_a_run_is_complete_before_its_first_step(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut in the first step leaves a run that can be opened and go on."""
    made = fitting.create_run

    def cut(*arguments: object, **options: object) -> Run:
        made(*arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "create_run", cut)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, out=tmp_path / "run", seeds=2, quiet=True)
    run = Run.open(tmp_path / "run")
    assert run.recipe == recipe
    assert run.info.seeds == (0, 1)
    assert list(run.info.models) == ["wide_deep", "logistic_regression"]
    assert "torch" in run.info.environment
    assert run.encoder.layout.codes
    assert sorted(p.name for p in tmp_path.glob("run*")) == ["run"]
