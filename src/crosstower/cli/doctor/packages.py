"""Packages that Crosstower needs, and those of its extras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata

from packaging.requirements import Requirement

from crosstower.cli.doctor.finding import CheckResult

_OWN = "crosstower"
_NOT_FOR_USERS = ("dev", "test")
PURPOSES = {
    "client": "a Python client of the server",
    "daft": "prepare rows with Daft",
    "distributed": "train in several processes",
    "docs": "build the documentation",
    "export": "export models to ONNX",
    "milvus": "search vectors in Milvus",
    "mlflow": "track training runs in MLflow",
    "postgres": "state and vectors in PostgreSQL",
    "ray": "batch jobs on a cluster",
    "serve": "the HTTP server and its page",
    "sql": "rows of SQL queries",
    "tables": "rows of Delta and Iceberg tables",
    "tensorboard": "track training runs in TensorBoard",
    "text": "text columns with a pretrained encoder",
    "tracing": "OpenTelemetry traces of the server",
    "tune": "tune the options of a recipe",
    "wandb": "track training runs in Weights & Biases",
}
"""Purpose of each extra."""

_BESIDE = {"distributed": (("torchrec", "1.8.0"), ("fbgemm-gpu-cpu", "1.8.0"))}
_STANDS_FOR = {"fbgemm-gpu-cpu": "fbgemm-gpu"}  # the build for GPUs


def check_core() -> Iterator[CheckResult]:
    """Yield a finding per required package."""
    for needed in _requirements(None):
        wrong = _wrong(needed)
        if wrong:
            remedy = f"pip install '{needed}'"
            yield CheckResult(needed.name, "problem", wrong, remedy)
        else:
            yield CheckResult(needed.name, "ok", metadata.version(needed.name))


def check_extras() -> Iterator[CheckResult]:
    """Yield a finding per extra: installed, partly installed, or not."""
    for extra in metadata.metadata(_OWN).get_all("Provides-Extra") or ():
        if extra not in _NOT_FOR_USERS:
            yield replace(_extra(extra), purpose=PURPOSES.get(extra, ""))


def _extra(extra: str) -> CheckResult:
    core = {one.name for one in _requirements(None)}
    needed = list(_requirements(extra))
    beside = {name: version for name, version in _BESIDE.get(extra, ()) if _absent(name)}
    wrong = {one.name: words for one in needed if (words := _wrong(one))}
    wrong |= dict.fromkeys(beside, "not installed")
    if not wrong:
        return CheckResult(extra, "ok", "installed")
    remedy = f"pip install '{_OWN}[{extra}]'"
    if beside:
        pairs = " ".join(f"{name}=={version}" for name, version in beside.items())
        remedy += f" && pip install --no-deps {pairs}"
    own = {one.name for one in needed} - core | dict(_BESIDE.get(extra, ())).keys()
    if own <= wrong.keys():
        return CheckResult(extra, "ok", "not installed", remedy)
    words = ", ".join(f"{name} ({why})" for name, why in wrong.items())
    return CheckResult(extra, "note", f"incomplete: {words}", remedy)


def _requirements(extra: str | None, seen: frozenset[str] = frozenset()) -> Iterator[Requirement]:
    """Yield the packages of an extra, also those of extras that it includes; None for the core."""
    for text in metadata.requires(_OWN) or ():
        needed = Requirement(text)
        of_extra = needed.marker is not None and "extra" in str(needed.marker)
        if of_extra != (extra is not None):
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra or ""}):
            continue
        if needed.name != _OWN:
            yield needed
            continue
        for other in needed.extras - seen:
            yield from _requirements(other, seen | {other})


def _wrong(needed: Requirement) -> str:
    """Return the problem of an installed package, an empty string if there is none."""
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return "not installed"
    if needed.specifier.contains(version, prereleases=True):
        return ""
    return f"{version} is installed, {needed.specifier} is needed"


def _absent(name: str) -> bool:
    for one in (name, _STANDS_FOR.get(name, name)):
        try:
            metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
        return False
    return True
