"""Layers: each a small `nn.Module` that states its formula, source and shapes.

Shapes use the letters of the legend in `crosstower.data.layout`.
"""

from crosstower.nn.chain import chained_logits
from crosstower.nn.cross import CrossFull, CrossLowRank, CrossMixture, CrossNetwork
from crosstower.nn.deep_cross import CrossOptions, Parallel, Stacked, StackedWithInput, deep_cross
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.experts import ExtractionLayer, Gate, MultiGateMixture, ProgressiveExtraction
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.pooling import AttentionPool, GruPool, max_pool
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.towers import Tower, unit_vectors
from crosstower.nn.trunks import DeepCrossTrunk, MLPTrunk, WideDeepTrunk, build_trunk
from crosstower.nn.wide import WideLinear, wide_side

__all__ = [
    "MLP",
    "AttentionPool",
    "CrossFull",
    "CrossLowRank",
    "CrossMixture",
    "CrossNetwork",
    "CrossOptions",
    "DeepCrossTrunk",
    "DenseInput",
    "EmbeddingStore",
    "ExtractionLayer",
    "Gate",
    "GruPool",
    "MLPTrunk",
    "MultiGateMixture",
    "Parallel",
    "ProgressiveExtraction",
    "Stacked",
    "StackedWithInput",
    "TaskTowers",
    "Tower",
    "WideDeepTrunk",
    "WideLinear",
    "build_trunk",
    "by_head",
    "chained_logits",
    "deep_cross",
    "max_pool",
    "unit_vectors",
    "wide_side",
]
