"""Recommender funnels in PyTorch: from raw impressions to trained, honestly evaluated rankers.

The names below are the public surface; each is imported when it is first used, so that
`import crosstower` loads neither torch nor polars.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosstower.blend.utility import Utility as Utility
    from crosstower.blend_section import Blend as Blend
    from crosstower.blending.blending import blend_run as blend_run
    from crosstower.blending.removal import remove_blend as remove_blend
    from crosstower.bundle.building import make_bundle as make_bundle
    from crosstower.bundle.bundle import Bundle as Bundle
    from crosstower.data.text_encoders import register_text_encoder as register_text_encoder
    from crosstower.data.worlds import World as World
    from crosstower.errors import BundleError as BundleError
    from crosstower.errors import CrosstowerError as CrosstowerError
    from crosstower.errors import CrosstowerWarning as CrosstowerWarning
    from crosstower.errors import DataError as DataError
    from crosstower.errors import RecipeError as RecipeError
    from crosstower.errors import RunError as RunError
    from crosstower.errors import TrainingError as TrainingError
    from crosstower.fitting import fit as fit
    from crosstower.funnel.evaluation import evaluate_funnel as evaluate_funnel
    from crosstower.funnel.funnel import Funnel as Funnel
    from crosstower.policy import evaluate_policy as evaluate_policy
    from crosstower.recipe import Recipe as Recipe
    from crosstower.recipe import load_recipe as load_recipe
    from crosstower.retriever.retriever import Retriever as Retriever
    from crosstower.run import Run as Run
    from crosstower.schema import Schema as Schema

__version__ = "0.1.0"

_HOMES = {
    "Blend": "blend_section",
    "Bundle": "bundle.bundle",
    "BundleError": "errors",
    "CrosstowerError": "errors",
    "CrosstowerWarning": "errors",
    "DataError": "errors",
    "Funnel": "funnel.funnel",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Retriever": "retriever.retriever",
    "Run": "run",
    "RunError": "errors",
    "Schema": "schema",
    "TrainingError": "errors",
    "Utility": "blend.utility",
    "World": "data.worlds",
    "blend_run": "blending.blending",
    "evaluate_funnel": "funnel.evaluation",
    "evaluate_policy": "policy",
    "fit": "fitting",
    "load_recipe": "recipe",
    "make_bundle": "bundle.building",
    "register_text_encoder": "data.text_encoders",
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
