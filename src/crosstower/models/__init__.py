"""Architectures: one file each, found by name in the registry.

A model takes a `Batch` and returns `{head: logits [B]}`. Shapes use the letters of the legend in
`crosstower.data.layout`.
"""

from crosstower.models.autoint import AutoInt
from crosstower.models.dcn_v2 import DCNv2
from crosstower.models.deepfm import DeepFM
from crosstower.models.dlrm import DLRM
from crosstower.models.esmm import ESMM
from crosstower.models.finalmlp import FinalMLP
from crosstower.models.gdcn import GDCN
from crosstower.models.logistic_regression import LogisticRegression
from crosstower.models.masknet import MaskNet
from crosstower.models.mlp import PlainMLP
from crosstower.models.mmoe import MMoE
from crosstower.models.ple import PLE
from crosstower.models.registry import Architecture, build, config_of, model_names, register_model
from crosstower.models.shared_bottom import SharedBottom
from crosstower.models.two_tower import TwoTower
from crosstower.models.wide_deep import WideDeep
from crosstower.models.wukong import Wukong

__all__ = [
    "DLRM",
    "ESMM",
    "GDCN",
    "PLE",
    "Architecture",
    "AutoInt",
    "DCNv2",
    "DeepFM",
    "FinalMLP",
    "LogisticRegression",
    "MMoE",
    "MaskNet",
    "PlainMLP",
    "SharedBottom",
    "TwoTower",
    "WideDeep",
    "Wukong",
    "build",
    "config_of",
    "model_names",
    "register_model",
]
