"""How long `crosstower --help` and `import crosstower` take, in processes of their own."""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import describe

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import crosstower": [sys.executable, "-c", "import crosstower"],
    "crosstower --help": [str(Path(sys.executable).with_name("crosstower")), "--help"],
    "import torch, for comparison": [sys.executable, "-c", "import torch"],
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(arguments)
    print(describe(rounds=options.rounds))
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(options.rounds + 1):  # the first one fills the caches of the disk
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    print("| | seconds (median) | shortest | longest |\n|---|---|---|---|")
    for name, found in seconds.items():
        middle = statistics.median(found)
        print(f"| {name} | {middle:.3f} | {min(found):.3f} | {max(found):.3f} |")
