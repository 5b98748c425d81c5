"""Commands, environment, ports, probes and privileges in deploy/ fit the program and each other."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from packaging.requirements import Requirement
from typer.main import get_command

from crosstower.cli.main import app
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.serving.retraining.plan import RetrainPlan

from ..serving.conftest import client, start
from .files import DEPLOY, KUBERNETES, compose, documents, instructions, pod, secrets

__all__ = ["client", "start"]
SERVERS = ["crosstower-1", "crosstower-2"]
SOURCE = Path(__file__).parents[2] / "src"


def commands() -> dict[str, list[str]]:
    """Return the arguments of `crosstower` in each file."""
    found = {name: compose()[name]["command"] for name in SERVERS}
    for kind in ("Deployment", "CronJob"):
        found[kind] = pod(kind)["spec"]["containers"][0]["args"]
    found["Dockerfile"] = json.loads(dict(instructions())["CMD"])
    return found


@pytest.mark.parametrize("name", list(commands()))
def test_commands_are_those_of_the_program(name: str) -> None:
    words = commands()[name]
    command: Any = get_command(app)
    context = command.make_context("crosstower", list(words), resilient_parsing=True)
    chosen = command.get_command(context, words[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = chosen.make_context(words[0], words[1:]).params
    if words[0] == "serve":
        assert (given["host"], given["port"], given["log_format"]) == ("0.0.0.0", 8000, "json")


def test_variables_are_those_of_the_program() -> None:
    text = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    scopes = {f"CROSSTOWER_{scope}_TOKEN" for scope in ("READ", "WRITE", "ADMIN")}
    known = scopes | {"PGPASSWORD"}  # of libpq
    containers = [pod(kind)["spec"]["containers"][0]["env"] for kind in ("Deployment", "CronJob")]
    names = {one["name"] for env in containers for one in env}
    for server in SERVERS:
        names |= set(compose()[server]["environment"])
    for name in names - known:
        assert f'"{name}"' in text, name
    for env in containers:
        keys = {one["valueFrom"]["secretKeyRef"]["key"] for one in env if "valueFrom" in one}
        assert keys <= secrets()
        assert {one["name"] for one in env if "TOKEN" in one["name"] or "PASSWORD" in one["name"]} \
            <= {one["name"] for one in env if "valueFrom" in one}  # fmt: skip
    wanted = re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text())
    assert set(wanted) == secrets() | {"BUNDLE"}


def test_probes_ask_routes_that_need_no_token(client: TestClient) -> None:
    (server,) = pod("Deployment")["spec"]["containers"]
    (port,) = server["ports"]
    assert port["containerPort"] == 8000
    probes = {
        name: server[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")
    }
    assert all(probe["port"] == port["name"] for probe in probes.values())
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert documents()["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert documents()["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == 8000
    asked = set(paths.values())
    checks = [
        dict(instructions())["HEALTHCHECK"],
        *(str(compose()[s]["healthcheck"]) for s in SERVERS),
    ]
    for check in checks:
        (path,) = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", check)
        asked.add(path)
    for path in asked:  # as kubelet does: by the address of the pod, without a token
        assert client.get(path).status_code == 200


def test_shutdown_fits_into_the_grace_period() -> None:
    from crosstower.serving.http.server import _SECONDS_TO_FINISH

    spec = pod("Deployment")["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep + _SECONDS_TO_FINISH < spec["terminationGracePeriodSeconds"]
    for server in SERVERS:
        assert int(compose()[server]["stop_grace_period"].rstrip("s")) > _SECONDS_TO_FINISH


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_pods_have_no_privileges_and_a_read_only_root(kind: str) -> None:
    spec = pod(kind)["spec"]
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    assert dict(instructions())["USER"] == user == "10001:10001"
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == set(container["resources"])
    volumes = {one["name"]: one for one in spec["volumes"]}
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert {one["name"] for one in mounts.values()} == set(volumes)
    assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
    bundles = container["args"][1].rpartition("/")[0]
    assert mounts[bundles].get("readOnly", False) is (kind == "Deployment")
    written = dict(part.split("=", 1) for part in dict(instructions())["ENV"].split())
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "CROSSTOWER_CACHE"):
        assert written[name].startswith("/tmp")


def test_composed_services_have_no_privileges_and_a_read_only_root() -> None:
    services = compose()
    for name in (*SERVERS, "proxy"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in services["proxy"]["ports"])
    assert "ports" not in services["db"]


def test_objects_select_the_pods_that_they_mean() -> None:
    found = documents()
    labels = pod("Deployment")["metadata"]["labels"]
    selectors = {
        "Deployment": found["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": found["Service"]["spec"]["selector"],
        "PodDisruptionBudget": found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }
    for kind, selector in selectors.items():
        assert selector.items() <= labels.items(), kind
        assert not selector.items() <= pod("CronJob")["metadata"]["labels"].items(), kind
    policy = found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    for kind in ("Deployment", "CronJob"):
        assert policy.items() <= pod(kind)["metadata"]["labels"].items()
        assert (
            pod(kind)["spec"]["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
        )
    target = found["HorizontalPodAutoscaler"]["spec"]
    assert target["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    assert target["minReplicas"] >= 2
    assert "replicas" not in found["Deployment"]["spec"]


def test_the_retraining_follows_the_plan_and_exit_codes() -> None:
    plan = validate(RetrainPlan, read_yaml((KUBERNETES / "plan.yaml").read_text()))
    args = pod("CronJob")["spec"]["containers"][0]["args"]
    mounts = {m["mountPath"] for m in pod("CronJob")["spec"]["containers"][0]["volumeMounts"]}
    assert Path(args[args.index("--plan") + 1]).parent.as_posix() in mounts
    versions = Path(args[args.index("--versions") + 1])
    served = {
        mount["mountPath"] for mount in pod("Deployment")["spec"]["containers"][0]["volumeMounts"]
    }
    assert versions.parent.as_posix() in served  # replicas see what is published
    assert plan.keep > 0
    rules = documents()["CronJob"]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"]["values"] == [6]  # refused by the gate


def test_the_image_is_built_from_what_the_context_has() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [rest for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    assert {name for rest in copied for name in rest.split()[:-1]} == kept
    assert all((DEPLOY.parent / name).exists() for name in kept)
    (extras,) = [re.findall(r"\.\[(.*)\]", rest)[0] for word, rest in instructions()
                 if word == "RUN" and ".[" in rest]  # fmt: skip
    import tomllib

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    needed = next(Requirement(d) for d in project["dependencies"] if d.startswith("torch"))
    (installed,) = re.findall(r" torch==(\S+)", (DEPLOY / "Dockerfile").read_text())
    assert needed.specifier.contains(installed)
