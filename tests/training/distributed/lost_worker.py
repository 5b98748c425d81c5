"""One of three processes that lose another one: see test_lost.py."""

import os
import signal
import sys

import torch

from crosstower.training.distributed.lost import LostProcessError, naming_lost
from crosstower.training.distributed.world import open_world


def main(way: str) -> None:
    world = open_world(torch.device("cpu"), timeout=3.0 if way == "SIGSTOP" else 60.0)
    world.largest(0)  # wait: all are here
    if world.rank == 2:
        os.kill(os.getpid(), getattr(signal, way))
    try:
        with naming_lost(world):
            world.sum(torch.ones(1))
    except LostProcessError as error:
        sys.stdout.write(str(error))
        sys.stdout.flush()
        os._exit(4)


if __name__ == "__main__":
    main(sys.argv[1])
