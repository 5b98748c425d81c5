"""Chains of events such as click, cart and buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from crosstower.errors import did_you_mean
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Task


def binary_tasks(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Return the names of the binary tasks, in the order of the schema."""
    return tuple(name for name, task in tasks.items() if isinstance(task, Binary))


def chain_of(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Return the chain declared by `after`, first event first; empty if there is none.

    Raises:
        ValueError: two tasks follow the same one, or there are several chains.

    """
    after = {n: t.after for n, t in tasks.items() if isinstance(t, Binary) and t.after is not None}
    if not after:
        return ()
    following = {event: name for name, event in after.items()}
    first = [event for event in following if event not in after]
    if len(following) < len(after) or len(first) > 1:
        pairs = ", ".join(f"{name} after {event}" for name, event in after.items())
        raise ValueError(
            f"the tasks form more than one chain ({pairs}); set model.chain, or use a model without"
            " a chain, such as mmoe"
        )
    chain = first
    while chain[-1] in following:
        chain.append(following[chain[-1]])
    return tuple(chain)


def with_chain(schema: Schema, chain: Sequence[str]) -> Schema:
    """Return the schema with `after` set along `chain`.

    Raises:
        ValueError: a name is not a binary task, is repeated, or contradicts the schema's `after`.

    """
    allowed = binary_tasks(schema.tasks)
    for name in chain:
        if name not in allowed:
            raise ValueError(
                f"model.chain: no binary task '{name}'{did_you_mean(name, list(allowed))};"
                f" allowed: {', '.join(allowed) or 'none'}"
            )
    if len(set(chain)) < len(chain):
        raise ValueError(f"model.chain: a task is repeated: {', '.join(chain)}; name each once")
    tasks = dict(schema.tasks)
    for event, name in pairwise(chain):
        declared = getattr(tasks[name], "after", None)
        if declared not in (None, event):
            raise ValueError(
                f"model.chain: '{name}' follows '{event}', but the schema has after: {declared};"
                " drop one of them"
            )
        tasks[name] = tasks[name].model_copy(update={"after": event})
    return Schema.model_validate({"columns": schema.columns, "tasks": tasks})
