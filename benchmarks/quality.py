"""Test metrics of every ranking model on public data, mean ± sd over seeds."""

from benchmarks.machine import example_runs

MODELS = ("logistic_regression", "mlp", "wide_deep", "dcn_v2")


def main(arguments: list[str]) -> None:
    for name, run in example_runs("quality", __doc__, arguments, ("adult", "movielens")):
        show(name, run.metrics)


def show(name: str, metrics: dict) -> None:
    (task,) = metrics["tasks"].values()
    print(f"{name}: peak memory {metrics['peak_memory_mb']:,.0f} MB")
    print("| model | AUC | log loss | ECE | gAUC | epochs | rows/s |")
    print("|---|---|---|---|---|---|---|")
    for model in MODELS:
        found = task[model]
        cells = [number(found.get(m)) for m in ("auc", "log_loss", "ece", "gauc")]
        runs = list(metrics["training"][model].values())
        epochs = sum(r["epochs"] for r in runs) / len(runs)
        speed = sum(r["rows_per_second"] for r in runs) / len(runs)
        print(f"| {model} | {' | '.join(cells)} | {epochs:.1f} | {speed:,.0f} |")
    print(flush=True)


def number(summary: dict | None) -> str:
    if summary is None:
        return ""
    sd = "" if summary["sd"] is None else f" ± {summary['sd']:.4f}"
    return f"{summary['mean']:.4f}{sd}"
