import pytest
from torch.distributed import TCPStore

from crosstower.nn.world import ALONE
from crosstower.training.distributed.lost import naming_lost

from ...fixtures.processes import started
from . import lost_worker

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("SIGKILL", "rank {rank} lost another process, which ended or was cut off; continue with:"),
        ("SIGSTOP", "rank 2 did not come to an exchange within 3 seconds (training.timeout)"),
    ],
)
def test_all_others_end_when_a_process_is_gone_or_hangs(
    way: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")  # which outlives the processes
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    *others, last = started([lost_worker.__file__, way], 3, store.port)
    try:
        ends = [process.communicate(timeout=200) for process in others]
    finally:
        last.kill()
        last.communicate()
        del store
    assert [process.returncode for process in others] == [4, 4], ends
    said = [out.startswith(words.format(rank=rank)) for rank, (out, _) in enumerate(ends)]
    assert any(said) if way == "SIGSTOP" else all(said), ends  # the first one may cut off others


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="a bug"), naming_lost(ALONE):
        raise RuntimeError("a bug")
