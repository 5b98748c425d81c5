"""python -m benchmarks NAME [OPTIONS]; without a NAME it says which there are."""

import importlib
import sys

NAMES = (
    "quality",
    "best_auc",
    "vocabulary",
    "warm_start",
    "counters",
    "position_bias",
    "precision",
    "data",
    "prepare",
    "train",
    "evaluate",
    "rechub",
    "ann",
    "rank",
    "rankers",
    "rules",
    "export",
    "retrieval",
    "sequences",
    "sequence_speed",
    "contrastive",
    "losses",
    "interaction_log",
    "ids_only",
    "retrieve",
    "batch_recommend",
    "serve",
    "server_stack",
    "start",
    "multitask",
    "blending",
    "off_policy",
    "direct_method",
    "explore",
    "experiments",
    "loop",
    "loop_knowledge",
    "replay",
    "live_users",
    "gate",
    "live_counters",
    "kills",
    "state",
    "fused_tables",
    "multi_hot_log",
    "scale",
)

if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
    sys.exit(f"usage: python -m benchmarks NAME [OPTIONS], NAME one of: {', '.join(NAMES)}")
importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
