"""Bundles that are opened while others are served."""

import json
import shutil
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle, make_bundle

from ...fixtures.funnels import Runs
from ..conftest import Start
from .client import LISTING, find, problem


@pytest.mark.slow
def test_a_bundle_is_swapped_for_a_good_one_only(
    start: Start, bundle: Bundle, blended: Runs, tmp_path: Path
) -> None:
    fresh = make_bundle([blended.retrieval, blended.ranking], tmp_path / "fresh", index="ann")
    bad = shutil.copytree(fresh.folder, tmp_path / "bad")
    path = next(bad.rglob("best.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    one, two = start(), start()
    one.put("/v1/items", json={"items": [LISTING]})
    for wrong in (bad, tmp_path / "nowhere"):
        response = problem(one.post("/v1/model", json={"path": str(wrong)}), 422)
        assert f"{bundle.version} is still served" in response["detail"]
    assert one.get("/readyz").json()["version"] == bundle.version
    response = one.post("/v1/model", json={"path": str(fresh.folder)})
    assert response.json() == {"version": fresh.version, "previous": bundle.version}
    assert find(one, "city == 'Atlantis'") == [10**6]  # what was written is there still
    until = time.monotonic() + 20
    while two.get("/readyz").json()["version"] != fresh.version and time.monotonic() < until:
        time.sleep(0.1)  # the other worker follows
    assert two.get("/readyz").json()["version"] == fresh.version
    assert find(two, "city == 'Atlantis'") == [10**6]
    text = one.get("/metrics").text
    assert 'crosstower_swaps_total{result="refused"} 2.0' in text
    assert 'crosstower_swaps_total{result="done"} 1.0' in text


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 2_000, "\0", "\ud800", "bundle\0x"])
def test_a_path_that_no_disk_can_have_is_refused(client: TestClient, path: str) -> None:
    content = json.dumps({"path": path}).encode()
    headers = {"content-type": "application/json"}
    assert problem(client.post("/v1/model", content=content, headers=headers), 422)
