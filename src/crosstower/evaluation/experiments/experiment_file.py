"""The file of experiments. No torch.

At any time at most one experiment is active, so that each event belongs to one experiment and arm.
"""

from __future__ import annotations

from datetime import datetime
from itertools import combinations
from typing import Self

from pydantic import Field, model_validator

from crosstower.errors import RecipeError, did_you_mean
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_mapping
from crosstower.values.addresses.address import Place, anchored


class Experiments(FrozenModel):
    """The experiments of a file; at most one is active at any time."""

    experiments: tuple[Experiment, ...] = Field(min_length=1, description="The experiments.")

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        for first, second in combinations(self.experiments, 2):
            if first.name == second.name:
                raise ValueError(f"experiments: the name '{first.name}' is given twice")
            early, late = sorted((first, second), key=lambda e: e.start)
            if early.end is None or late.start < early.end:
                raise ValueError(
                    f"experiments: '{early.name}' and '{late.name}' overlap in time; end one before"
                    " the other starts, or make one experiment with an arm per combination"
                )
        return self

    def bundles(self, time: datetime) -> dict[str, str]:
        """Return the experiment and arm of each bundle, by path; ended experiments need none.

        Args:
            time: now.

        """
        found: dict[str, str] = {}
        for one in self.experiments:
            for name, arm in one.arms.items():
                if arm.bundle is not None and (one.end is None or time < one.end):
                    found.setdefault(arm.bundle, f"experiment '{one.name}', arm '{name}'")
        return found

    def named(self, name: str | None) -> Experiment:
        """Return an experiment by its name; the only one if None.

        Raises:
            RecipeError: there is no such experiment, or several and no name.

        """
        names = [e.name for e in self.experiments]
        if name is None and len(names) == 1:
            return self.experiments[0]
        if name not in names:
            given = "a name is needed" if name is None else f"no experiment '{name}'"
            hint = "" if name is None else did_you_mean(name, names)
            raise RecipeError(f"experiments: {given}{hint}; there are: {', '.join(names)}")
        return self.experiments[names.index(name)]


def load_experiments(path: str | Place) -> Experiments:
    """Read a file of experiments.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "experiments.yaml"
    >>> _ = path.write_text('''
    ... experiments:
    ...   - name: more_likes
    ...     start: 2026-11-01
    ...     arms:
    ...       control: {share: 0.5}
    ...       likes: {share: 0.5, request: {blend: {weights: {like: 2}}}}
    ...     metrics: {clicks: {event: click}}
    ... ''')
    >>> load_experiments(path).named("more_likes").shares
    {'control': 0.5, 'likes': 0.5}

    Bundles of arms become absolute paths; relative ones start at the folder of the file.

    Raises:
        RecipeError: the file is missing, is not YAML, or a key is wrong.

    """
    place = place_argument(
        "experiments", path, error=RecipeError, expected="the path of a YAML file"
    )
    plain = read_mapping(
        place,
        named="the file is",
        empty="expected the key experiments with a list of experiments",
    )
    found = validate(Experiments, plain)
    many = tuple(_located(one, place.parent) for one in found.experiments)
    return found.model_copy(update={"experiments": many})


def _located(one: Experiment, folder: Place) -> Experiment:
    """Return an experiment with the bundles of its arms as absolute paths."""
    arms = {
        name: arm
        if arm.bundle is None
        else arm.model_copy(update={"bundle": anchored(arm.bundle, folder)})
        for name, arm in one.arms.items()
    }
    return one.model_copy(update={"arms": arms})
