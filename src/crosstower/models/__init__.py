"""Architectures: one file each, found by name in the registry.

A model takes a `Batch` and returns `{head: logits [B]}`. Shapes use the letters of the legend in
`crosstower.data.layout`.
"""

from crosstower.models.dcn_v2 import DCNv2
from crosstower.models.esmm import ESMM
from crosstower.models.logistic_regression import LogisticRegression
from crosstower.models.mlp import PlainMLP
from crosstower.models.mmoe import MMoE
from crosstower.models.ple import PLE
from crosstower.models.registry import Architecture, build, config_of, model_names, register_model
from crosstower.models.shared_bottom import SharedBottom
from crosstower.models.two_tower import TwoTower
from crosstower.models.wide_deep import WideDeep

__all__ = [
    "ESMM",
    "PLE",
    "Architecture",
    "DCNv2",
    "LogisticRegression",
    "MMoE",
    "PlainMLP",
    "SharedBottom",
    "TwoTower",
    "WideDeep",
    "build",
    "config_of",
    "model_names",
    "register_model",
]
