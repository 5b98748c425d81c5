"""Full-catalogue test metrics of the retrieval examples and their baselines, over seeds."""

from benchmarks.machine import example_runs
from benchmarks.quality import number

EXAMPLES = ("amazon_beauty", "amazon_sports", "movielens_retrieval", "clothing_search")
METRICS = ("recall@10", "ndcg@10", "mrr@10", "coverage@10", "novelty@10")


def main(arguments: list[str]) -> None:
    for name, run in example_runs("retrieval", __doc__, arguments, EXAMPLES):
        show(name, run.metrics, run.info.facts.notes)


def show(name: str, metrics: dict, notes: tuple[str, ...]) -> None:
    print(f"{name}: peak memory {metrics['peak_memory_mb']:,.0f} MB; {'; '.join(notes)}")
    print(f"| model | {' | '.join(METRICS)} | epochs | rows/s |\n|---|{'---|' * 7}")
    for model, found in metrics["retrieval"].items():
        runs = list(metrics["training"].get(model, {}).values())
        cells = [number(found[m]) for m in METRICS]
        cells += ["", ""] if not runs else [f"{mean(runs, 'epochs'):.1f}"]
        cells += [f"{mean(runs, 'rows_per_second'):,.0f}"] if runs else []
        print(f"| {model} | {' | '.join(cells)} |")
    print(flush=True)


def mean(runs: list[dict], key: str) -> float:
    return sum(run[key] for run in runs) / len(runs)
