"""One of several processes of a command: its number, and the error that it leaves.

`crosstower fit --processes N` and `torchrun` start such processes by torch's elastic agent, whose
environment says where an error goes.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosstower.errors import CrosstowerError

LAUNCHED, RESTART = "CROSSTOWER_LAUNCHED", "CROSSTOWER_RESTART"
"""Set by `crosstower fit --processes N`: a folder for process ids, and the number of restarts."""

_ERROR_FILE, _RESTARTS = "TORCHELASTIC_ERROR_FILE", "TORCHELASTIC_RESTART_COUNT"
_LOST = "LostProcessError"


@dataclass(frozen=True)
class Fault:
    """An error of a process.

    Args:
        kind: name of its class.
        words: its message.
        trace: where it was raised, if not on purpose.
        time: seconds since 1970.
        bases: names of the classes that its class extends, the closest first.

    """

    kind: str
    words: str
    trace: str
    time: float
    bases: Sequence[str] = ()

    @property
    def is_lost(self) -> bool:
        """Whether it only follows from the end of another process."""
        return self.kind == _LOST

    @property
    def is_final(self) -> bool:
        """Whether it would come again after a restart, or is meant, such as Ctrl-C."""
        return not self.trace and not self.is_lost


def is_worker() -> bool:
    """Return whether an elastic agent has started this process."""
    return bool(os.environ.get(_ERROR_FILE)) and "RANK" in os.environ


def is_launched() -> bool:
    """Return whether a launcher shows the errors of this process."""
    return is_worker() and LAUNCHED in os.environ


def worker_main(command: Callable[[], object]) -> None:
    """Run a command in this process; of an elastic agent's process, leave its error.

    Raises:
        CrosstowerError: of the command, if no launcher shows it.
        SystemExit: if a launcher does.

    """
    if not is_worker():
        command()
        return
    announce()
    try:
        _refuse_vain_restart()
        command()
    except Exception as error:
        leave(error)
        if is_launched():
            raise SystemExit(_exit_code(error)) from error
        raise


def rank() -> int:
    """Return the number of this process among those that train together; the first one prints."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def restarts() -> int:
    """Return how often the processes were restarted before this one began."""
    return int(os.environ.get(RESTART) or os.environ.get(_RESTARTS) or 0)


def announce() -> None:
    """Leave the id of this process for the launcher, which passes Ctrl-C on to it."""
    folder = os.environ.get(LAUNCHED)
    if folder:
        (Path(folder) / os.environ["RANK"]).write_text(str(os.getpid()), encoding="utf-8")


def leave(error: Exception) -> None:
    """Leave an error for the launcher."""
    own = isinstance(error, CrosstowerError)
    trace = "" if own else "".join(traceback.format_exception(error))
    kind, *bases = (one.__name__ for one in type(error).__mro__)
    fault = Fault(kind, str(error), trace, time.time(), bases)
    extra = {"py_callstack": trace or fault.words, "timestamp": str(int(fault.time))}
    message = {"message": f"{fault.kind}: {fault.words}", "extraInfo": extra}
    plain = {"message": message, "crosstower": asdict(fault)}  # torchrun shows the message
    Path(os.environ[_ERROR_FILE]).write_text(json.dumps(plain), encoding="utf-8")


def _exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, CrosstowerError) else 1


def fault_in(plain: Mapping[str, Any]) -> Fault | None:
    """Return the error that a process has left, from the content of its error file."""
    return Fault(**plain["crosstower"]) if "crosstower" in plain else None


def _refuse_vain_restart() -> None:
    """Raise the final error of the processes before a restart by torchrun.

    torchrun restarts its processes after every error.
    """
    number = int(os.environ.get(_RESTARTS) or 0)
    if number == 0:
        return
    attempts = Path(os.environ[_ERROR_FILE]).parent.parent.parent
    for path in sorted(attempts.glob(f"attempt_{number - 1}/*/error.json")):
        fault = fault_in(json.loads(path.read_bytes()))
        if fault is not None and fault.is_final:
            raise raised_again(fault)


def raised_again(fault: Fault) -> CrosstowerError:
    """Return the error of another process, of the same class if it was raised on purpose.

    This process may not have imported the class: the closest class that it extends then.
    """
    kinds = [CrosstowerError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    known = {kind.__name__: kind for kind in kinds}
    own = next((name for name in (fault.kind, *fault.bases) if name in known), None)
    return (
        CrosstowerError(f"{fault.kind}: {fault.words}") if own is None else known[own](fault.words)
    )
