"""Responses as plain data for JSON."""

from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle


def test_what_is_served(client: TestClient, bundle: Bundle) -> None:
    found = client.get("/v1/model").json()
    assert found["version"] == bundle.version
    assert found["stages"] == ["retrieve", "rank", "blend"]
    assert found["blend"]["weights"] == {"click": 1.0, "booking": 20.0}
    assert [t["name"] for t in found["tasks"]] == ["click", "booking"]
    assert found["user_column"] == "user_id"
    columns = {c["name"]: c for c in found["query_columns"]}
    assert columns["home_city"]["kind"] == "categorical"
    assert "Rome" in columns["home_city"]["examples"]
    assert {"name": "price", "type": "Float64"} in found["attributes"]
    assert len(found["sample_users"]) == 20
    assert found["metrics"]["ranking"]["tasks"]["click"]
    assert client.get("/healthz").json()["status"] == "ok"
    ready = {"status": "ready", "version": bundle.version, "state_behind": 0.0}
    assert client.get("/readyz").json() == ready
