"""Frozen text vectors by the name of their encoder: a package of an extra, or any callable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError, RecipeError, did_you_mean
from crosstower.recipe.arguments import count_of
from crosstower.values.lookup import places_in

_BUILT_IN = ("wordllama",)


@dataclass(frozen=True)
class TextEncoder:
    """Turns texts into vectors `[B, width]`; the same text always into the same vector."""

    width: int
    encode: Callable[[Sequence[str]], NDArray[Any]]


_ENCODERS: dict[str, TextEncoder] = {}


def register_text_encoder(
    name: str, encode: Callable[[Sequence[str]], NDArray[Any]], *, width: int
) -> None:
    """Make a callable known as `encoder: NAME` of text columns.

    Register it in every program that opens the run: a run keeps the name, never the code.

    Args:
        name: in recipes.
        encode: takes texts, returns finite numbers `[B, width]`.
        width: of a vector.

    Raises:
        RecipeError: the name is taken by a built-in encoder, or the width is below 1.

    """
    if name in ("hashed", *_BUILT_IN):
        raise RecipeError(f"text encoder '{name}': the name is built in; choose another")
    count_of(f"text encoder '{name}': width", width, error=RecipeError)
    _ENCODERS[name] = TextEncoder(width, encode)


def text_encoder(name: str) -> TextEncoder:
    """Return an encoder.

    Raises:
        RecipeError: it is not registered, or its package is not installed.

    """
    if name == "wordllama":
        return _wordllama()
    if name not in _ENCODERS:
        names = ["hashed", *_BUILT_IN, *_ENCODERS]
        raise RecipeError(
            f"text encoder '{name}': unknown{did_you_mean(name, names)}; allowed:"
            f" {', '.join(names)}; register your own with crosstower.register_text_encoder"
        )
    return _ENCODERS[name]


def text_vectors(texts: pl.Series, name: str) -> NDArray[np.float64]:
    """Return `[B, width]` scaled to unit variance: rows of length √width, zeros for no text.

    Raises:
        RecipeError: the encoder is not known.
        DataError: it gives another shape than it was registered with, or numbers not finite.

    """
    encoder = text_encoder(name)
    filled = texts.fill_null("").cast(pl.String)
    distinct = filled.unique(maintain_order=True)
    vectors = np.asarray(encoder.encode(distinct.to_list()), dtype=np.float64)
    if vectors.shape != (len(distinct), encoder.width) or not np.isfinite(vectors).all():
        raise DataError(
            f"text encoder '{name}': expected finite numbers [{len(distinct)}, {encoder.width}],"
            f" got shape {list(vectors.shape)}"
        )
    vectors[(distinct.str.strip_chars() == "").to_numpy()] = 0.0
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= np.sqrt(encoder.width) / np.where(norm > 0, norm, 1.0)
    return vectors[places_in(distinct, filled)]


@cache
def _wordllama() -> TextEncoder:
    try:
        package = importlib.import_module("wordllama")
    except ImportError as error:
        raise RecipeError(
            "text encoder 'wordllama': not installed; install it with:"
            " pip install 'crosstower[text]'"
        ) from error
    # Its weights and its tokenizer come in its wheel: nothing is downloaded.
    home = Path(package.__file__ or "").parent
    model = package.WordLlama.load(cache_dir=home, disable_download=True)
    return TextEncoder(256, lambda texts: model.embed(list(texts)))
