"""Recommender funnels in PyTorch: from raw impressions to trained, honestly evaluated rankers.

`import crosstower as ct` gives the public names below. Each is imported on first use, so the import
itself loads neither torch nor polars. Everything that no face exports is private by convention.

>>> import crosstower as ct
>>> schema = ct.Schema(
...     columns={"user_id": ct.Categorical(), "age": ct.Numeric(transform="log1p")},
...     tasks={"click": ct.Binary()},
... )
>>> list(schema.columns)
['user_id', 'age']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosstower import losses as losses
    from crosstower import models as models
    from crosstower import nn as nn
    from crosstower import retrieval as retrieval
    from crosstower.blending.blend_run import BlendResult as BlendResult
    from crosstower.blending.blend_run import blend_run as blend_run
    from crosstower.blending.removal import remove_blend as remove_blend
    from crosstower.blending.utility import Constraint as Constraint
    from crosstower.blending.utility import Utility as Utility
    from crosstower.data.batch import Batch as Batch
    from crosstower.data.datasets import worlds as worlds
    from crosstower.data.layout import Head as Head
    from crosstower.data.layout import Layout as Layout
    from crosstower.errors import BundleError as BundleError
    from crosstower.errors import CrosstowerError as CrosstowerError
    from crosstower.errors import CrosstowerWarning as CrosstowerWarning
    from crosstower.errors import DataError as DataError
    from crosstower.errors import QueryError as QueryError
    from crosstower.errors import RecipeError as RecipeError
    from crosstower.errors import RunError as RunError
    from crosstower.errors import ServeError as ServeError
    from crosstower.errors import TrainingError as TrainingError
    from crosstower.evaluation import metrics as metrics
    from crosstower.fitting.comparing.compare import compare as compare
    from crosstower.fitting.evaluate_run import evaluate_run as evaluate_run
    from crosstower.fitting.fit import fit as fit
    from crosstower.fitting.off_policy.evaluate import evaluate_policy as evaluate_policy
    from crosstower.fitting.off_policy.report import PolicyReport as PolicyReport
    from crosstower.fitting.tuning.tune import tune as tune
    from crosstower.funnel.evaluation import evaluate_funnel as evaluate_funnel
    from crosstower.funnel.features import retrieval_features as retrieval_features
    from crosstower.funnel.funnel import Funnel as Funnel
    from crosstower.funnel.report import FunnelReport as FunnelReport
    from crosstower.ranking.ranker import Ranker as Ranker
    from crosstower.recipe.blend import Blend as Blend
    from crosstower.recipe.blend import Diversity as Diversity
    from crosstower.recipe.calibration import Calibration as Calibration
    from crosstower.recipe.data import Data as Data
    from crosstower.recipe.data import Join as Join
    from crosstower.recipe.frozen import FrozenModel as FrozenModel
    from crosstower.recipe.kinds.bag import Bag as Bag
    from crosstower.recipe.kinds.calendar import Calendar as Calendar
    from crosstower.recipe.kinds.categorical import Categorical as Categorical
    from crosstower.recipe.kinds.counter import Counter as Counter
    from crosstower.recipe.kinds.cross import Cross as Cross
    from crosstower.recipe.kinds.distance import Distance as Distance
    from crosstower.recipe.kinds.elapsed import Elapsed as Elapsed
    from crosstower.recipe.kinds.formula import Formula as Formula
    from crosstower.recipe.kinds.kind import CodeField as CodeField
    from crosstower.recipe.kinds.kind import Column as Column
    from crosstower.recipe.kinds.kind import ListField as ListField
    from crosstower.recipe.kinds.numeric import Numeric as Numeric
    from crosstower.recipe.kinds.registry import register_column as register_column
    from crosstower.recipe.kinds.sequence import Sequence as Sequence
    from crosstower.recipe.kinds.text import Text as Text
    from crosstower.recipe.kinds.vector import Vector as Vector
    from crosstower.recipe.loading import load_recipe as load_recipe
    from crosstower.recipe.loading import parse_recipe as parse_recipe
    from crosstower.recipe.recipe import Evaluation as Evaluation
    from crosstower.recipe.recipe import Recipe as Recipe
    from crosstower.recipe.retrieval import Negatives as Negatives
    from crosstower.recipe.retrieval import Retrieval as Retrieval
    from crosstower.recipe.schema import Schema as Schema
    from crosstower.recipe.split import ColumnSplit as ColumnSplit
    from crosstower.recipe.split import GivenSplit as GivenSplit
    from crosstower.recipe.split import GroupSplit as GroupSplit
    from crosstower.recipe.split import LeaveLastOutSplit as LeaveLastOutSplit
    from crosstower.recipe.split import RandomSplit as RandomSplit
    from crosstower.recipe.split import TimeSplit as TimeSplit
    from crosstower.recipe.tasks import Binary as Binary
    from crosstower.recipe.tasks import Rating as Rating
    from crosstower.recipe.tasks import Regression as Regression
    from crosstower.recipe.text_encoders import (
        register_text_encoder as register_text_encoder,
    )
    from crosstower.recipe.training import Training as Training
    from crosstower.retrieval.index.open import Index as Index
    from crosstower.retrieval.retriever import Retriever as Retriever
    from crosstower.serving.bundle.building import make_bundle as make_bundle
    from crosstower.serving.bundle.bundle import Bundle as Bundle
    from crosstower.training.run import Run as Run

__version__ = "0.1.0"

_HOMES = {
    "blending.blend_run": "BlendResult blend_run",
    "blending.removal": "remove_blend",
    "blending.utility": "Constraint Utility",
    "data.batch": "Batch",
    "recipe.text_encoders": "register_text_encoder",
    "data.layout": "Head Layout",
    "errors": (
        "BundleError CrosstowerError CrosstowerWarning DataError QueryError RecipeError "
        "RunError ServeError TrainingError"
    ),
    "fitting.comparing.compare": "compare",
    "fitting.evaluate_run": "evaluate_run",
    "fitting.fit": "fit",
    "fitting.off_policy.evaluate": "evaluate_policy",
    "fitting.off_policy.report": "PolicyReport",
    "fitting.tuning.tune": "tune",
    "funnel.evaluation": "evaluate_funnel",
    "funnel.features": "retrieval_features",
    "funnel.funnel": "Funnel",
    "funnel.report": "FunnelReport",
    "ranking.ranker": "Ranker",
    "recipe.blend": "Blend Diversity",
    "recipe.calibration": "Calibration",
    "recipe.kinds.bag": "Bag",
    "recipe.kinds.calendar": "Calendar",
    "recipe.kinds.categorical": "Categorical",
    "recipe.kinds.counter": "Counter",
    "recipe.kinds.cross": "Cross",
    "recipe.kinds.distance": "Distance",
    "recipe.kinds.elapsed": "Elapsed",
    "recipe.kinds.formula": "Formula",
    "recipe.kinds.numeric": "Numeric",
    "recipe.kinds.sequence": "Sequence",
    "recipe.kinds.text": "Text",
    "recipe.kinds.vector": "Vector",
    "recipe.data": "Data Join",
    "recipe.frozen": "FrozenModel",
    "recipe.kinds.kind": "CodeField Column ListField",
    "recipe.kinds.registry": "register_column",
    "recipe.loading": "load_recipe parse_recipe",
    "recipe.recipe": "Evaluation Recipe",
    "recipe.retrieval": "Negatives Retrieval",
    "recipe.schema": "Schema",
    "recipe.split": "ColumnSplit GivenSplit GroupSplit LeaveLastOutSplit RandomSplit TimeSplit",
    "recipe.tasks": "Binary Rating Regression",
    "recipe.training": "Training",
    "retrieval.index.open": "Index",
    "retrieval.retriever": "Retriever",
    "serving.bundle.building": "make_bundle",
    "serving.bundle.bundle": "Bundle",
    "training.run": "Run",
}
_FACES = {
    "losses": "losses",
    "metrics": "evaluation.metrics",
    "models": "models",
    "nn": "nn",
    "retrieval": "retrieval",
    "worlds": "data.datasets.worlds",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Bag",
    "Batch",
    "Binary",
    "Blend",
    "BlendResult",
    "Bundle",
    "BundleError",
    "Calendar",
    "Calibration",
    "Categorical",
    "CodeField",
    "Column",
    "ColumnSplit",
    "Constraint",
    "Counter",
    "Cross",
    "CrosstowerError",
    "CrosstowerWarning",
    "Data",
    "DataError",
    "Distance",
    "Diversity",
    "Elapsed",
    "Evaluation",
    "Formula",
    "FrozenModel",
    "Funnel",
    "FunnelReport",
    "GivenSplit",
    "GroupSplit",
    "Head",
    "Index",
    "Join",
    "Layout",
    "LeaveLastOutSplit",
    "ListField",
    "Negatives",
    "Numeric",
    "PolicyReport",
    "QueryError",
    "RandomSplit",
    "Ranker",
    "Rating",
    "Recipe",
    "RecipeError",
    "Regression",
    "Retrieval",
    "Retriever",
    "Run",
    "RunError",
    "Schema",
    "Sequence",
    "ServeError",
    "Text",
    "TimeSplit",
    "Training",
    "TrainingError",
    "Utility",
    "Vector",
    "blend_run",
    "compare",
    "evaluate_funnel",
    "evaluate_policy",
    "evaluate_run",
    "fit",
    "load_recipe",
    "losses",
    "make_bundle",
    "metrics",
    "models",
    "nn",
    "parse_recipe",
    "register_column",
    "register_text_encoder",
    "remove_blend",
    "retrieval",
    "retrieval_features",
    "tune",
    "worlds",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name in _FACES:
        value: Any = importlib.import_module(f"crosstower.{_FACES[name]}")
    elif name in _MODULES:
        value = getattr(importlib.import_module(f"crosstower.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module 'crosstower' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
