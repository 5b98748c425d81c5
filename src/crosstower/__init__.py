"""Recommender funnels in PyTorch: from raw impressions to trained, honestly evaluated rankers.

The names below are the public surface; each is imported when it is first used, so that
`import crosstower` loads neither torch nor polars.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosstower.blending.blend_run import blend_run as blend_run
    from crosstower.blending.removal import remove_blend as remove_blend
    from crosstower.blending.utility import Utility as Utility
    from crosstower.data.datasets.worlds import World as World
    from crosstower.data.encoders.text_encoders import (
        register_text_encoder as register_text_encoder,
    )
    from crosstower.errors import BundleError as BundleError
    from crosstower.errors import CrosstowerError as CrosstowerError
    from crosstower.errors import CrosstowerWarning as CrosstowerWarning
    from crosstower.errors import DataError as DataError
    from crosstower.errors import RecipeError as RecipeError
    from crosstower.errors import RunError as RunError
    from crosstower.errors import TrainingError as TrainingError
    from crosstower.fitting.fit import fit as fit
    from crosstower.funnel.evaluation import evaluate_funnel as evaluate_funnel
    from crosstower.funnel.funnel import Funnel as Funnel
    from crosstower.off_policy.evaluate import evaluate_policy as evaluate_policy
    from crosstower.ranking.ranker import Ranker as Ranker
    from crosstower.recipe.blend import Blend as Blend
    from crosstower.recipe.recipe import Recipe as Recipe
    from crosstower.recipe.recipe import load_recipe as load_recipe
    from crosstower.recipe.schema import Schema as Schema
    from crosstower.retrieval.retriever import Retriever as Retriever
    from crosstower.serving.bundle.building import make_bundle as make_bundle
    from crosstower.serving.bundle.bundle import Bundle as Bundle
    from crosstower.training.run import Run as Run

__version__ = "0.1.0"

_HOMES = {
    "Blend": "recipe.blend",
    "Bundle": "serving.bundle.bundle",
    "BundleError": "errors",
    "CrosstowerError": "errors",
    "CrosstowerWarning": "errors",
    "DataError": "errors",
    "Funnel": "funnel.funnel",
    "Ranker": "ranking.ranker",
    "Recipe": "recipe.recipe",
    "RecipeError": "errors",
    "Retriever": "retrieval.retriever",
    "Run": "training.run",
    "RunError": "errors",
    "Schema": "recipe.schema",
    "TrainingError": "errors",
    "Utility": "blending.utility",
    "World": "data.datasets.worlds",
    "blend_run": "blending.blend_run",
    "evaluate_funnel": "funnel.evaluation",
    "evaluate_policy": "off_policy.evaluate",
    "fit": "fitting.fit",
    "load_recipe": "recipe.recipe",
    "make_bundle": "serving.bundle.building",
    "register_text_encoder": "data.encoders.text_encoders",
    "remove_blend": "blending.removal",
}

__all__ = [
    "Blend",
    "Bundle",
    "BundleError",
    "CrosstowerError",
    "CrosstowerWarning",
    "DataError",
    "Funnel",
    "Ranker",
    "Recipe",
    "RecipeError",
    "Retriever",
    "Run",
    "RunError",
    "Schema",
    "TrainingError",
    "Utility",
    "World",
    "blend_run",
    "evaluate_funnel",
    "evaluate_policy",
    "fit",
    "load_recipe",
    "make_bundle",
    "register_text_encoder",
    "remove_blend",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'crosstower' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"crosstower.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*_HOMES, "__version__"])
