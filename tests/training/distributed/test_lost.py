import pytest
from torch.distributed import HashStore, TCPStore

from crosstower.nn.world import ALONE
from crosstower.training.distributed.lost import LostProcessError, naming_lost
from crosstower.training.distributed.world import ProcessWorld

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


def test_a_process_that_was_cut_off_is_not_missing() -> None:
    """Rank 1 ends first and cuts rank 0 off, while rank 2 hangs."""
    store, worlds = HashStore(), [object.__new__(ProcessWorld) for _ in range(3)]
    for rank, world in enumerate(worlds):
        world.__dict__.update(store=store, rank=rank, size=3, timeout=3.0)
    cut_off = pytest.raises(LostProcessError, match=r"^rank 0 lost another process")
    with cut_off, naming_lost(worlds[0]):
        raise RuntimeError("[gloo] Connection closed by peer")
    in_vain = pytest.raises(LostProcessError, match=r"^rank 2 did not come to an exchange within")
    with in_vain, naming_lost(worlds[1]):
        raise RuntimeError("Timed out waiting 3000ms for recv operation")


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="a bug"), naming_lost(ALONE):
        raise RuntimeError("a bug")
