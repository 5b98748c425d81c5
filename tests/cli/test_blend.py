import json
import shutil
import sys
from pathlib import Path

import pytest

from crosstower.cli.main import main
from crosstower.training.run import Run

Capture = pytest.CaptureFixture[str]

UTILITY = """
values: {like: 1, comment: 2}
user: user_id
k: 4
trials: 8
by: [null, content_type]
"""


@pytest.fixture
def here(feed_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    (tmp_path / "utility.yaml").write_text(UTILITY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Return (exit code, standard output, standard error) of `crosstower blend feed ...`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["crosstower", "blend", "feed", *arguments])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_weights_by_hand(here: Path, capsys: Capture) -> None:
    options = ["--weights", "like=1,comment=2", "--transform", "probit", "--by", "content_type"]
    code, out, _ = run(capsys, *options)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 100
    for words in ("NDCG@10", "gAUC", "like alone", "Share of the top 10", "video"):
        assert words in out
    assert "page: feed/blend.html" in out


def test_json_is_for_machines(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "--weights", "like=1", "--transform", "percentile", "--json")
    assert code == 0
    plain = json.loads(out)
    assert plain["blend"] == {"weights": {"like": 1.0}, "transform": "percentile"}
    assert plain == json.loads((here / "feed" / "blended.json").read_text())


def test_a_transform_a_task(here: Path, capsys: Capture) -> None:
    weights = ["--weights", "like=1,comment=1"]
    code, out, _ = run(capsys, *weights, "--transform", "like=logit,comment=percentile", "--json")
    assert code == 0
    assert json.loads(out)["blend"]["transform"] == {"like": "logit", "comment": "percentile"}


def test_tuning_with_caps_and_mmr(here: Path, capsys: Capture) -> None:
    caps = ["--cap", "video=2", "--cap", "photo=3", "--cap-by", "content_type"]
    alike = ["--mmr", "0.8", "--similar-by", "item_id"]
    code, out, _ = run(capsys, "--tune", "utility.yaml", *caps, *alike)
    assert code == 0
    assert "Utility" in out
    assert "before diversity" in out
    assert "Tuned on the validation rows: the best of" in " ".join(out.split())


def test_measuring_by_a_utility(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "--weights", "like=1", "--utility", "utility.yaml", "--json")
    assert code == 0
    assert "utility" in json.loads(out)["orders"]["blend"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "no weights; give --weights like=1,comment=2"),
        (["--transform", "probit"], 2, "--weights: missing"),
        (["--weights", "like"], 2, "expected TASK=NUMBER"),
        (["--weights", "liek=1"], 2, "did you mean 'like'"),
        (["--weights", "like=1", "--transform", "probitt"], 2, "did you mean 'probit'"),
        (["--weights", "like=1", "--by", "kind"], 3, "no column 'kind'"),
        (["--weights", "like=1", "--mode", "value"], 2, "'sum' or 'product'"),
        (["--weights", "like=1", "--cap", "video=x", "--by", "content_type"], 2, "whole number"),
        (["--weights", "like=1", "--cap", "video=2"], 2, "caps: by is missing"),
        (["--weights", "like=1", "--cap-by", "content_type"], 2, "--cap-by: needs --cap"),
        (["--weights", "like=1", "--mmr", "0.5"], 2, "mmr: similar_by is missing"),
        (["--weights", "like=1", "--amount", "context"], 2, "mode product only"),
        (["--tune", "none.yaml"], 2, "none.yaml: no such utility file"),
        (["--tune", "utility.yaml", "--weights", "like=1"], 2, "--tune: sets --weights"),
        (["--tune", "utility.yaml", "--utility", "utility.yaml"], 2, "not allowed with --tune"),
    ],
)
def test_errors_are_messages_with_exit_codes(
    here: Path, capsys: Capture, arguments: list[str], code: int, words: str
) -> None:
    given, _, err = run(capsys, *arguments)
    assert (given, words in err, "Traceback" in err) == (code, True, False), err
    assert not (here / "feed" / "blend.html").exists()
