"""How the tests run: one thread per process, and one process per core for the whole suite."""

import os

import pytest

MAX_WORKERS = 8

# Read by torch when it loads, also in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use all cores (at most 8) for the whole suite; a part of it starts no workers."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
