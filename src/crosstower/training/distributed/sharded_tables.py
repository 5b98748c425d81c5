"""Tables of weights that several processes hold, on TorchRec's row-wise sharding."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.errors import TrainingError
from crosstower.nn.table_rows import Share

_NAME = "rows"
ALIGNED = 4
"""Widths that FBGEMM takes are multiples of it."""


@dataclass(frozen=True)
class Fused:
    """An optimiser of FBGEMM that updates rows within the backward pass.

    Args:
        name: "rowwise_adagrad" or "adagrad".
        eps: added to the denominator.

    """

    name: str
    eps: float


@dataclass
class _Lookup:
    """Rows that were fetched once: their distinct ids, ascending, and `vectors` `[n, D]`.

    `found` is what TorchRec returned, with a path for gradients; `touched` are the rows of this
    process, from its first one on, that all processes asked for.
    """

    ids: Tensor
    vectors: Tensor
    found: Tensor
    touched: Tensor


class ShardedTableRows:
    """Rows of one table `[rows, D]`; each process holds a block of them.

    Look-ups exchange distinct ids and their rows. There are two ways to train:

    - fused: FBGEMM's optimiser updates the rows by their summed gradients, see `update`;
    - by an optimiser of this package, which trains `own`, the rows of this process as a parameter,
      see `collect`. TorchRec has no sparse gradients without an optimiser; so the rows are `[w, g]`
      with g = 0, look-ups give w + g, and plain gradient descent with rate 1 leaves -gradient in g.

    Args:
        width: D.
        total: rows of the whole table.
        share: of this process.
        device: of the rows.
        fused: the optimiser of FBGEMM; None to train by another.

    """

    def __init__(
        self, width: int, total: int, share: Share, device: torch.device, fused: Fused | None
    ) -> None:
        self.total, self.share, self.fused, self.width = total, share, fused, width
        self.ids = share.of(total)
        columns = self.width if fused is not None else 2 * self.width
        columns += -columns % ALIGNED
        self._columns = columns
        self._collection = _collection(share.block(total) * share.size, columns, device, fused)
        block = _block_of(self._collection.state_dict()[f"embeddings.{_NAME}.weight"])
        block.zero_()
        self.block = block[: len(self.ids)]
        self.own = None if fused is not None else nn.Parameter(self.weights)
        self._held: _Lookup | None = None
        self._lookups: list[_Lookup] = []
        self._frozen: tuple[range, ...] = ()

    @contextmanager
    def fetched(self, ids: Tensor) -> Generator[None]:
        """Return a context in which look-ups of these rows need no exchange of their own."""
        if self._held is not None:
            yield
            return
        self._held = self._fetch(ids)
        try:
            yield
        finally:
            self._held = None

    def look_up(self, ids: Tensor) -> Tensor:
        """Return the rows `[..., D]` at `ids` `[...]`."""
        held = self._held or self._fetch(ids.flatten())
        return F.embedding(_places(held, ids), held.vectors)

    def bag(
        self, ids: Tensor, offsets: Tensor | None, *, mode: str, padding: int | None = None
    ) -> Tensor:
        """Return the mean or sum `[B, D]` of the rows of B bags."""
        left_out = [] if padding is None else [padding]
        held = self._held or self._fetch(torch.cat([ids.flatten(), ids.new_tensor(left_out)]))
        place = None if padding is None else int(_places(held, ids.new_tensor(padding)))
        return F.embedding_bag(
            _places(held, ids),
            held.vectors,
            offsets,
            mode=mode,
            include_last_offset=offsets is not None,
            padding_idx=place,
        )

    def freeze(self, ranges: Sequence[range]) -> None:
        """Freeze ranges of rows of the whole table."""
        if self.own is None and ranges:
            raise TrainingError("rows of a fused table cannot be frozen")
        self._frozen = tuple(ranges)

    def collect(self) -> None:
        """Give `own` the gradient of all look-ups since the last call, summed over processes."""
        if self.own is None:
            return
        lookups, self._lookups = self._lookups, []
        for lookup in lookups:
            slope = lookup.vectors.grad
            slope = torch.zeros_like(lookup.vectors) if slope is None else slope
            lookup.found.backward(F.pad(slope, (self.width, self._columns - 2 * self.width)))
        if not lookups:
            return
        rows = torch.unique(torch.cat([lookup.touched for lookup in lookups]))
        sums = self.block[:, self.width : 2 * self.width]
        values = -sums[rows]
        sums[rows] = 0.0
        kept = self._trained(rows)
        self.own.grad = torch.sparse_coo_tensor(
            rows[kept].unsqueeze(0),
            values[kept],
            self.own.shape,
            is_coalesced=True,
            check_invariants=False,
        )

    def begin(self, rate: float) -> None:
        """Set the learning rate of a fused table for the look-ups that follow."""
        self._lookups = []
        optimizer = self._collection.fused_optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()  # hands the rate to the kernel, which keeps it from a look-up on

    def update(self) -> None:
        """Update a fused table by the gradients of all look-ups since `begin`."""
        lookups, self._lookups = self._lookups, []
        slopes = [lookup.vectors.grad for lookup in lookups]
        given = [torch.zeros_like(k.vectors) if s is None else s
                 for k, s in zip(lookups, slopes, strict=True)]  # fmt: skip
        if len(lookups) == 1:
            lookups[0].found.backward(given[0])
        elif lookups:  # one update per row: the rows of all look-ups are fetched again, together
            ids = torch.cat([lookup.ids for lookup in lookups])
            with torch.enable_grad():
                joint = self._fetch(ids, keep=False)
            slope = torch.zeros_like(joint.vectors)
            slope.index_add_(0, _places(joint, ids), torch.cat(given))
            joint.found.backward(slope)

    @property
    def weights(self) -> Tensor:
        """The weights that this process holds, `[rows of the block, D]`."""
        return self.block[:, : self.width]

    def state(self) -> Tensor:
        """Return the accumulator of a fused optimiser: the rows of this process."""
        found = self._collection.fused_optimizer.state_dict()["state"]
        return _block_of(next(iter(next(iter(found.values())).values())))[: len(self.ids)]

    def _trained(self, rows: Tensor) -> Tensor:
        kept, first = rows < len(self.ids), self.ids.start
        for part in self._frozen:
            kept &= (rows + first < part.start) | (rows + first >= part.stop)
        return kept

    def _fetch(self, ids: Tensor, *, keep: bool = True) -> _Lookup:
        from torchrec import KeyedJaggedTensor  # noqa: PLC0415 - imported where it is used

        distinct = torch.unique(ids) if len(ids) else ids.new_zeros(1)
        asked = KeyedJaggedTensor(
            keys=[_NAME], values=distinct, lengths=torch.tensor([len(distinct)], device=ids.device)
        )
        rows = self._collection
        context = rows.create_context()
        given = rows.input_dist(context, asked).wait().wait()
        touched = torch.cat([part.values() for part in given])
        found: Tensor = rows.compute_and_output_dist(context, given)[_NAME].values()
        vectors = found.detach()[:, : self.width]
        lookup = _Lookup(distinct, vectors, found, touched.long())
        if torch.is_grad_enabled():
            vectors.requires_grad_()
            if keep:
                self._lookups.append(lookup)
        return lookup


def _places(held: _Lookup, ids: Tensor) -> Tensor:
    places = torch.searchsorted(held.ids, ids)
    if not torch.equal(held.ids[places.clamp(max=len(held.ids) - 1)], ids):
        raise ValueError("a look-up of rows that were not fetched")
    return places


def _block_of(sharded: Any) -> Tensor:
    (shard,) = sharded.local_shards()
    return shard.tensor


def _collection(rows: int, width: int, device: torch.device, fused: Fused | None) -> Any:
    from torchrec import EmbeddingCollection, EmbeddingConfig  # noqa: PLC0415
    from torchrec.distributed.comm_ops import set_gradient_division  # noqa: PLC0415
    from torchrec.distributed.embedding import EmbeddingCollectionSharder  # noqa: PLC0415
    from torchrec.distributed.sharding_plan import (  # noqa: PLC0415
        construct_module_sharding_plan,
        row_wise,
    )
    from torchrec.distributed.types import ShardingEnv  # noqa: PLC0415
    from torchrec.optim.apply_optimizer_in_backward import (  # noqa: PLC0415
        apply_optimizer_in_backward,
    )

    set_gradient_division(False)  # losses are parts of a sum, not means
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)  # TorchRec's own matter
    table = EmbeddingConfig(
        name=_NAME, num_embeddings=rows, embedding_dim=width, feature_names=[_NAME]
    )
    plain = EmbeddingCollection(tables=[table], device=torch.device("meta"))
    kind, options = _optimizer(fused)
    apply_optimizer_in_backward(kind, plain.parameters(), options)
    sharder: Any = EmbeddingCollectionSharder()
    size = dist.get_world_size()
    plan = construct_module_sharding_plan(
        plain,
        {_NAME: row_wise(compute_kernel="fused")},
        sharder,
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", size)),
        world_size=size,
        device_type=device.type,
    )
    group = cast("dist.ProcessGroup", dist.group.WORLD)
    return sharder.shard(plain, plan, ShardingEnv.from_process_group(group), device)


def _optimizer(fused: Fused | None) -> tuple[type[torch.optim.Optimizer], dict[str, float]]:
    from torchrec.optim import SGD, Adagrad, RowWiseAdagrad  # noqa: PLC0415

    if fused is None:
        return SGD, {"lr": 1.0}
    kind = RowWiseAdagrad if fused.name == "rowwise_adagrad" else Adagrad
    return kind, {"lr": 0.0, "eps": fused.eps}
