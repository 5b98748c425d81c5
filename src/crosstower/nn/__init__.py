"""Layers: each a small `nn.Module` that states its formula, source and shapes.

Shapes use the letters of the legend in `crosstower.data.layout`.
"""

from crosstower.nn.chain import chained_logits
from crosstower.nn.cross import CrossFull, CrossGated, CrossLowRank, CrossMixture, CrossNetwork
from crosstower.nn.deep_cross import CrossOptions, Parallel, Stacked, StackedWithInput, deep_cross
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.experts import ExtractionLayer, Gate, MultiGateMixture, ProgressiveExtraction
from crosstower.nn.field_attention import FieldAttention
from crosstower.nn.fields import FieldInput, NumberFields
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.mask_block import FieldNorm, MaskBlock
from crosstower.nn.mlp import MLP
from crosstower.nn.pairs import DotProducts, factorised_pairs
from crosstower.nn.pooling import AttentionPool, GruPool, max_pool
from crosstower.nn.sequences.bsarec import Bsarec
from crosstower.nn.sequences.hstu import Hstu
from crosstower.nn.sequences.registry import register_sequence
from crosstower.nn.sequences.steps import Steps
from crosstower.nn.sequences.transformer import Transformer
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.towers import Tower, unit_vectors
from crosstower.nn.trunks import DeepCrossTrunk, MLPTrunk, WideDeepTrunk, build_trunk
from crosstower.nn.two_streams import BilinearFusion, StreamGate
from crosstower.nn.wide import WideLinear, wide_side
from crosstower.nn.wukong_layer import WukongLayer

__all__ = [
    "MLP",
    "AttentionPool",
    "BilinearFusion",
    "Bsarec",
    "CrossFull",
    "CrossGated",
    "CrossLowRank",
    "CrossMixture",
    "CrossNetwork",
    "CrossOptions",
    "DeepCrossTrunk",
    "DenseInput",
    "DotProducts",
    "EmbeddingStore",
    "ExtractionLayer",
    "FieldAttention",
    "FieldInput",
    "FieldNorm",
    "Gate",
    "GruPool",
    "Hstu",
    "MLPTrunk",
    "MaskBlock",
    "MultiGateMixture",
    "NumberFields",
    "Parallel",
    "ProgressiveExtraction",
    "Stacked",
    "StackedWithInput",
    "Steps",
    "StreamGate",
    "TaskTowers",
    "Tower",
    "Transformer",
    "WideDeepTrunk",
    "WideLinear",
    "WukongLayer",
    "build_trunk",
    "by_head",
    "chained_logits",
    "deep_cross",
    "factorised_pairs",
    "max_pool",
    "register_sequence",
    "unit_vectors",
    "wide_side",
]
