"""A clock of simulated days: `time.time_ns` of a server returns the number in a file.

Python imports this module at start if its folder is on PYTHONPATH; see `live_server`.
"""

import mmap
import os
import struct
import time
from pathlib import Path

if path := os.environ.get("SIMULATED_CLOCK"):
    with Path(path).open("rb") as file:
        memory = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    time.time_ns = lambda: struct.unpack("<q", memory)[0]
