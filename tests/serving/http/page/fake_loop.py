"""What a fake server knows of users, versions and experiments."""

from typing import Any

HOSTILE = "<img src=x onerror='window.broken = true'>"
MISMATCH = "Sample ratio mismatch (p = 0.0002): the results are not reliable."
START, NOW = "2026-11-01T00:00:00Z", "2026-11-28T21:10:00Z"


def user_of(user: str, history: list[int]) -> dict[str, Any]:
    """Return the response of GET /v1/users: three events are live, two wait."""
    live = {"type": "click", "time": "2026-11-28T20:00:00Z"}
    return {
        "user": user,
        "trained": True,
        "attributes": {"device": "tv", "note": HOSTILE},
        "ignored_attributes": ["note"],
        "history": [
            *({"item_id": item, "type": None, "time": None} for item in history[:-3]),
            *({"item_id": item} | live for item in history[-3:]),
        ],
        "future": [{"item_id": 8, "type": "click", "time": "2027-01-01T00:00:00Z"}],
        "unknown_items": [{"item_id": HOSTILE, "type": HOSTILE, "time": NOW}],
    }


def version(number: int, verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "version": f"{number:012x}",
        "live": False,
        "begun": "2026-11-28T20:00:00Z",
        "ended": NOW,
        "verdict": verdict,
        "available": True,
        "rows": 12_345,
        "facts": {},
        "reasons": [],
        "notes": [],
        "figures": {},
    } | more


FIGURES = {
    "rows": 2_000,
    "users": 180,
    "comparisons": [
        {"name": "like", "metric": "auc", "live": 0.701, "candidate": 0.712, "gain": 0.011,
         "low": 0.004, "high": 0.018, "detectable": 0.01, "passed": True},
        {"name": "comment", "metric": "auc", "live": 0.66, "candidate": 0.61, "gain": -0.05,
         "low": -0.07, "high": -0.03, "detectable": 0.02, "passed": False},
    ],
    "calibration": [
        {"task": "like", "live": 1.02, "candidate": 0.97, "low": 0.8, "high": 1.25, "passed": True}
    ],
    "drift": [{"task": "like", "psi": 0.04, "passed": True}],
}  # fmt: skip


def versions() -> dict[str, Any]:
    """Return the response of GET /v1/versions: version 2 was refused, 1 is live."""
    reason = f"comment: the AUC of {HOSTILE} is worse than that of the live bundle."
    base = version(0, "base", begun=None, ended=None, rows=None)
    return {
        "live": 1,
        "since": NOW,
        "base": "000000000000",
        "versions": [
            version(2, "refused", available=False, reasons=[reason], figures=FIGURES),
            version(1, "published", live=True, notes=["2 rows had no label."]),
            base,
        ],
        "journal": [
            {"time": NOW, "event": "published", "number": 1},
            {"time": "2026-11-28T20:00:00Z", "event": "begun", "number": 1},
        ],
    }


def experiments(user: str | None) -> dict[str, Any]:
    """Return the response of GET /v1/experiments."""
    one = {
        "name": "more_likes",
        "start": START,
        "end": None,
        "active": True,
        "shares": {"control": 0.5, "likes": 0.5},
        "arm": "likes" if user else None,
        "versions": {"likes": "0123456789ab"},
    }
    later = {"name": "later", "start": "2126-01-01T00:00:00Z", "active": False, "versions": {}}
    return {"experiments": [one, one | later]}


def _lift(metric: str, value: float, low: float, high: float, outcome: str) -> dict[str, Any]:
    means = {"control": {"value": 7.2}, "arm": {"value": 7.2 * (1 + value)}}
    lift = means | {"value": value, "low": low, "high": high}
    return {"metric": metric, "arm": "likes", "lift": lift, "outcome": outcome, "segment": None}


def report() -> dict[str, Any]:
    """Return the response of GET /v1/experiments/report."""
    better = _lift("clicks", 0.124, 0.031, 0.217, "better")
    too_few = _lift("revenue", 0.0, 0.0, 0.0, "too few users")
    too_few["lift"] |= {"value": None, "low": None, "high": None}
    return {
        "computed": NOW,
        "name": "more_likes",
        "start": START,
        "until": NOW,
        "control": "control",
        "primary": "clicks",
        "level": 0.95,
        "users": {"control": 1_000, "likes": 1_200},
        "ratio": {"sequential_p": 0.0002, "mismatch": True},
        "lifts": [better, _lift("ctr", -0.2, -0.3, -0.1, "worse"), too_few],
        "segments": [better | {"segment": ["device", HOSTILE]}],
        "interleaved": [
            {"arm": "mixed", "first": "control", "second": "likes",
             "preference": {"wins": [40, 61], "ties": 7}}
        ],
        "sizes": [],
        "daily": {},
        "verdicts": [MISMATCH, f"likes is better than control in {HOSTILE}."],
        "notes": ["Only clicks decides; with several metrics, some differ by chance."],
    }  # fmt: skip
