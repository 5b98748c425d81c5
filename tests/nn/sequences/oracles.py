"""Sequence encoders written from their papers in NumPy, float64, one history at a time."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]


def linear(layer: nn.Linear, x: Array) -> Array:
    return x @ numbers(layer.weight).T + numbers(layer.bias)


def numbers(tensor: Any) -> Array:
    return tensor.detach().double().numpy()


def norm(layer: nn.LayerNorm, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps)
    return scaled * numbers(layer.weight) + numbers(layer.bias)


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def gelu(x: Array) -> Array:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def attention(layer: Any, x: Array) -> Array:
    """Causal multi-head attention, query by query."""
    q, k, v = np.split(linear(layer.project, x), 3, axis=1)
    width = x.shape[1] // layer.heads
    found = np.zeros_like(x)
    for i in range(len(x)):
        for head in range(layer.heads):
            part = slice(head * width, (head + 1) * width)
            weights = np.exp(k[: i + 1, part] @ q[i, part] / math.sqrt(width))
            found[i, part] = weights / weights.sum() @ v[: i + 1, part]
    return linear(layer.out, found)


def feed_forward(layer: Any, x: Array, activation: Any) -> Array:
    first, _, second = layer.layers
    return linear(second, activation(linear(first, x)))


def transformer(model: Any, rows: Array) -> Array:
    """SASRec with pre-norm."""
    x = rows * math.sqrt(rows.shape[1]) + numbers(model.position)[: len(rows)]
    for block in model.blocks:
        y = x + attention(block.attention, norm(block.before, x))
        x = y + feed_forward(block.feed_forward, norm(block.between, y), lambda z: np.maximum(z, 0))
    return norm(model.norm, x)


def low_pass(prefix: Array, length: int, cutoff: int) -> Array:
    """The lowest frequencies of a row of `length` values that ends with `prefix`, at its end."""
    row = np.zeros((length, prefix.shape[1]))
    row[length - len(prefix) :] = prefix
    spectrum = np.fft.rfft(row, axis=0, norm="ortho")
    spectrum[cutoff // 2 + 1 :] = 0
    return np.fft.irfft(spectrum, n=length, axis=0, norm="ortho")[-1]


def bsarec(model: Any, rows: Array, *, length: int, alpha: float, cutoff: int) -> Array:
    """BSARec, whose filter sees each prefix as a row of its own."""
    x = rows * math.sqrt(rows.shape[1]) + numbers(model.position)[: len(rows)]
    x = norm(model.norm, x)
    for block in model.blocks:
        low = np.stack([low_pass(x[: i + 1], length, cutoff) for i in range(len(x))])
        passed = low + numbers(block.filter.beta) ** 2 * (x - low)
        filtered = norm(block.after_filter, x + passed)
        attended = norm(block.after_attention, x + attention(block.attention, x))
        h = alpha * filtered + (1 - alpha) * attended
        x = norm(block.after, h + feed_forward(block.feed_forward, h, gelu))
    return x


def hstu(model: Any, rows: Array, *, length: int, times: Array | None = None) -> Array:
    """Pointwise attention with gates, query by query; `times` of the values, and of the next."""
    x = rows * math.sqrt(rows.shape[1]) + numbers(model.position)[: len(rows)]
    for block in model.blocks:
        u, v, q, k = np.split(silu(linear(block.project, norm(block.before, x))), 4, axis=1)
        width, bias = x.shape[1] // block.heads, numbers(block.distance_bias)
        found = np.zeros_like(x)
        for i in range(len(x)):
            for head in range(block.heads):
                part = slice(head * width, (head + 1) * width)
                for j in range(i + 1):
                    both = bias[i - j, head]
                    if times is not None:
                        gap = math.log(max(1.0, abs(float(times[i + 1] - times[j]))))
                        both += numbers(block.time_bias.weight)[int(gap / 0.301), head]
                    weight = silu(q[i, part] @ k[j, part] + both) / length
                    found[i, part] += weight * v[j, part]
        x = x + linear(block.out, norm(block.between, found) * u)
    return norm(model.norm, x)
