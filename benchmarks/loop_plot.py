"""Table and picture of the closed loop."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Found = list[dict[str, list[float]]]
# Colours that are legible on white and on dark grey, and a line style per group of policies.
_STYLES = {
    "popularity": ("#8c8c8c", ":"),
    "frozen": ("#3f8fd2", "--"),
    "live": ("#c77d1a", "--"),
    "retrain": ("#3f8fd2", "-"),
    "live + retrain": ("#c77d1a", "-"),
    "live + retrain + exploration": ("#d1495b", "-"),
    "ideal learner": ("#8c8c8c", "-."),
    "best possible": ("#8c8c8c", "-"),
}


def show(found: Found, first: int) -> None:
    """Print the worth per day, and the share of the possible gain over the last three days."""
    names = list(found[0])
    print(f"| day | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    worth = np.array([[of[name] for name in names] for of in found])  # [seeds, policies, days]
    for day, row in enumerate(worth.mean(axis=0).T):
        print(f"| {first + day} | {' | '.join(f'{x:.3f}' for x in row)} |")
    for title, high in (("possible gain", "best possible"), ("gain of the ideal", "ideal learner")):
        if {"popularity", high} <= set(names):
            share = shares(worth, names.index("popularity"), names.index(high))
            cells = " | ".join(mean_sd(column) for column in share.T)
            print(f"| share of the {title}, last 3 days | {cells} |")


def shares(worth: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """Return (worth - low) / (high - low) over the last three days `[seeds, policies]`."""
    last = worth[:, :, -3:].mean(axis=2)
    return (last - last[:, [low]]) / (last[:, [high]] - last[:, [low]])


def mean_sd(values: NDArray[np.float64]) -> str:
    sd = f" ± {values.std(ddof=1):.1%}" if len(values) > 1 else ""
    return f"{values.mean():.1%}{sd}"


def plot(found: Found, first: int, path: Path) -> None:
    """Draw the mean worth per day; the background is transparent."""
    from matplotlib.figure import Figure

    grey = "#8c8c8c"
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for name in found[0]:
        worth = np.mean([of[name] for of in found], axis=0)
        colour, line = _STYLES[name]
        axes.plot(range(first, first + len(worth)), worth, line, color=colour, label=name)
    axes.set(ylim=(0, None))
    axes.set_xlabel("day", color=grey)
    axes.set_ylabel("true value of a list (clicks, a like is two)", color=grey)
    axes.tick_params(colors=grey)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for spine in axes.spines.values():
        spine.set_color(grey)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for text in legend.get_texts():
        text.set_color(grey)
    figure.savefig(path, transparent=True)
