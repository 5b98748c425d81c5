"""Alerts and the dashboard name metrics and labels that a server exports."""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.metrics_folder import VARIABLE

from .files import DEPLOY

TARGET = {"instance", "job"}  # labels that Prometheus adds


def expressions() -> list[tuple[str, str]]:
    """Return the queries of alerts and panels by their name."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"][0][
        "rules"
    ]
    found = [(rule["alert"], rule["expr"]) for rule in rules]
    for panel in json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    return [(name, text.replace("$__rate_interval", "5m")) for name, text in found]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Labels by the name of each series of a server."""
    monkeypatch.delenv(VARIABLE, raising=False)
    registry = ServerMetrics()._registry
    found: dict[str, set[str]] = {}
    for metric, names in registry._collector_to_names.items():
        labels = {*metric._labelnames, *TARGET}  # type: ignore[attr-defined]
        found |= {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name in names}
    return found


def parts(node: Any) -> Iterator[Any]:
    """Yield the nodes of an expression."""
    yield node
    children = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    for child in (*children, *getattr(node, "args", ())):
        if child is not None:
            yield from parts(child)


@pytest.mark.parametrize(("name", "text"), expressions(), ids=[n for n, _ in expressions()])
def test_an_expression_reads_what_a_server_exports(
    exported: dict[str, set[str]], name: str, text: str
) -> None:
    nodes = list(parts(promql_parser.parse(text)))
    selected = [node for node in nodes if isinstance(node, promql_parser.VectorSelector)]
    assert selected
    known: set[str] = set()
    for selector in selected:
        labels = TARGET if selector.name == "up" else exported[selector.name]
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, selector.name
        known |= labels
    for node in nodes:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            assert set(node.modifier.labels) <= known, name


def test_alerts_say_what_to_do() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"][0][
        "rules"
    ]
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_a_dashboard_lays_its_panels_out_without_overlap() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    panels, taken = dashboard["panels"], set[tuple[int, int]]()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    variables = {f"${one['name']}" for one in dashboard["templating"]["list"]}
    assert variables == {"$datasource", "$instance"}
