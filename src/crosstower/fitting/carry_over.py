"""Carry weights and optimiser states over to a model whose vocabularies have changed.

Rows of embedding tables and of wide weights follow the values of their columns, which have other
codes once a vocabulary has gained and lost some. A new value starts as in a new model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.errors import RunError
from crosstower.nn.embedding import CodeRows, EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.values.arrays import Indices
from crosstower.values.codes import RESERVED_CODES, UNSEEN, Vocabulary

NEW = -1
MOST_COMBINATIONS = 2**22
"""Most combinations of codes for which a cross keeps its weights."""


def code_sources(before: Encoder, after: Encoder) -> dict[str, Indices]:
    """Return by table, for each code `[size]`, the earlier code of the same value, or `NEW`.

    Tables that are not learned (hash buckets, given vocabularies) keep their codes. The buckets of
    a cross follow the combinations of kept codes: a bucket has the earlier one of a combination in
    it. A cross of more than `MOST_COMBINATIONS` whose columns have changed is new in all buckets.
    """
    sources: dict[str, Indices] = {}
    for name, table in after.tables.items():
        known = before.tables[name]
        codes = np.arange(table.size, dtype=np.int64)
        if isinstance(table, Vocabulary) and isinstance(known, Vocabulary):
            found = known.encode(table.values).astype(np.int64)
            codes[RESERVED_CODES:] = np.where(found == UNSEEN, NEW, found)
        sources[name] = codes
    return sources | _cross_sources(after, sources)


def _cross_sources(after: Encoder, sources: Mapping[str, Indices]) -> dict[str, Indices]:
    """Return the same by cross, for those whose columns have other codes now."""
    fields, found = {field.name: field for field in after.layout.codes}, dict[str, Indices]()
    for name, kind in after.schema.columns.items():
        parts = [fields[part] for part in kind.combines]
        origins = [sources.get(part.table, np.arange(part.size)) for part in parts]
        if all(np.array_equal(origin, np.arange(len(origin))) for origin in origins):
            continue
        kept = [1 + np.flatnonzero(origin[1:] != NEW) for origin in origins]  # no padding
        buckets = np.full(fields[name].size, NEW, dtype=np.int64)
        if math.prod(map(len, kept)) <= MOST_COMBINATIONS:
            codes = [grid.ravel() for grid in np.meshgrid(*kept, indexing="ij")]
            earlier = [origin[code] for origin, code in zip(origins, codes, strict=True)]
            crossed = kind.coder(after.states.get(name))
            buckets[crossed(codes)] = crossed(earlier)
        found[name] = buckets
    return found


class CarriedRows:
    """Where the rows of the parameters of codes come from."""

    def __init__(
        self,
        sources: Mapping[str, Indices],
        before: Mapping[str, list[CodeRows]],
        after: Mapping[str, list[CodeRows]],
    ) -> None:
        self._sources, self._before, self._after = sources, before, after

    def carried(self, name: str, old: Tensor, new: Tensor) -> Tensor:
        """Return `new` with the rows of `old` where the values of a table had rows before.

        Raises:
            RunError: a table that follows no vocabulary has another size.

        """
        result = new.clone()
        for was, now in zip(self._before[name], self._after[name], strict=True):
            if now.table not in self._sources and was.size != now.size:
                raise RunError(
                    f"warm start: column '{now.table}' had {was.size:,} codes and has"
                    f" {now.size:,} now; let finish of its learner return a state of the same"
                    " inputs after recall, or train without a warm start"
                )
            source = self._sources.get(now.table, np.arange(now.size))
            known = np.flatnonzero(source != NEW)
            result[now.start + torch.from_numpy(known)] = old[
                was.start + torch.from_numpy(source[known])
            ].to(result)
        return result

    def __contains__(self, name: str) -> bool:
        """Return whether a parameter has rows of codes."""
        return name in self._after

    def changed(self) -> bool:
        """Return whether a table has gained or lost values."""
        ends = [int(rows.size) for all_rows in self._before.values() for rows in all_rows]
        now = [int(rows.size) for all_rows in self._after.values() for rows in all_rows]
        same = all(np.array_equal(s, np.arange(len(s))) for s in self._sources.values())
        return ends != now or not same


def code_rows(model: nn.Module) -> dict[str, list[CodeRows]]:
    """Return, by parameter of a model, the rows that belong to the codes of each table."""
    found: dict[str, list[CodeRows]] = {}
    for prefix, module in model.named_modules():
        if isinstance(module, EmbeddingStore | WideLinear):
            for name, rows in module.code_rows().items():
                found[f"{prefix}.{name}" if prefix else name] = rows
    return found


def carry_weights(tensors: Mapping[str, Tensor], model: nn.Module, rows: CarriedRows) -> None:
    """Give a model the weights of a checkpoint.

    Args:
        tensors: of the checkpoint, by name.
        model: new; the rows of new values stay.
        rows: where the rows of codes come from.

    Raises:
        RunError: a parameter has another shape, or rows that follow no vocabulary.

    """
    _refuse_own_tables(model, rows)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            old = tensors[f"model.{name}"]
            if name in rows:
                parameter.copy_(rows.carried(name, old, parameter.detach()))
            elif old.shape == parameter.shape:
                parameter.copy_(old)
            else:
                raise RunError(
                    f"warm start: parameter '{name}' had shape {list(old.shape)} and has"
                    f" {list(parameter.shape)} now; train without a warm start"
                )


def _refuse_own_tables(model: nn.Module, rows: CarriedRows) -> None:
    own = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    if own and rows.changed():
        raise RunError(
            f"warm start: '{own[0]}' is an nn.Embedding, whose rows cannot follow a vocabulary that"
            " has changed; look codes up in an EmbeddingStore, or train without a warm start"
        )


def carry_state(
    tensors: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    prefix: str,
    names: Mapping[int, str],
    rows: CarriedRows,
) -> None:
    """Give an optimiser the earlier state; rows of new values start at zero.

    They count as up to date (`last` is the step), so that weight decay does not make up for the
    steps of earlier runs.
    """
    groups = optimizer.state_dict()["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for number, parameter in zip(numbers, parameters, strict=True):
        name, own = names[id(parameter)], f"{prefix}{number}."
        for key, old in tensors.items():
            if key.startswith(own):
                by_row = name in rows and old.ndim > 0
                new = old.new_zeros((len(parameter), *old.shape[1:])) if by_row else old
                if by_row and key == f"{own}last":
                    new = new + tensors[f"{own}step"].to(old)
                now = rows.carried(name, old, new) if by_row else old
                state.setdefault(number, {})[key.removeprefix(own)] = now
    optimizer.load_state_dict({"state": state, "param_groups": groups})
