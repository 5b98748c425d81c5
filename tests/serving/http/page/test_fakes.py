"""What the fake server of the page tests responds has the form of the real responses."""

import json
from dataclasses import fields

import pytest

from crosstower.evaluation.experiments.report import ArmComparison, InterleavedArm
from crosstower.serving.http.experiment_reports import ExperimentReportResponse
from crosstower.serving.http.experiments import ExperimentsResponse
from crosstower.serving.http.user_routes import UserResponse
from crosstower.serving.retraining.figures import (
    CalibrationRatio,
    GateMeasurements,
    MetricComparison,
    PredictionDrift,
)
from crosstower.serving.retraining.summary import VersionsSummary

from . import fake_loop

pytestmark = pytest.mark.slow


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_users_versions_and_experiments_have_the_form_of_the_api() -> None:
    for model, response in (
        (UserResponse, fake_loop.user_of("u1", [3, 4, 5, 6, 7])),
        (VersionsSummary, fake_loop.versions()),
        (ExperimentsResponse, fake_loop.experiments("u1")),
        (ExperimentReportResponse, fake_loop.report()),
    ):
        found = model.model_validate_json(json.dumps(response))
        assert set(response) == set(model.model_fields)
        assert found.model_dump(mode="json", exclude_unset=True) == response


def test_figures_of_the_gate_have_their_names() -> None:
    figures = fake_loop.FIGURES
    assert set(figures) == names(GateMeasurements)
    for kind in (
        ("comparisons", MetricComparison),
        ("calibration", CalibrationRatio),
        ("drift", PredictionDrift),
    ):
        assert all(set(one) == names(kind[1]) for one in figures[kind[0]])


def test_lifts_have_names_of_the_report() -> None:
    report = fake_loop.report()
    for one in (*report["lifts"], *report["segments"]):
        assert set(one) <= names(ArmComparison) | {"outcome"}
    assert all(set(one) == names(InterleavedArm) for one in report["interleaved"])
