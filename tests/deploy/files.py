"""The files of deploy/, read as data."""

import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


def documents() -> dict[str, dict[str, Any]]:
    """Return the Kubernetes objects by kind; each kind is there once."""
    found = [yaml.safe_load(path.read_text()) for path in sorted(KUBERNETES.glob("*.yaml"))]
    return {one["kind"]: one for one in found if "apiVersion" in one and "metadata" in one}


def pod(kind: str) -> dict[str, Any]:
    """Return the template of the pods of the deployment or the cron job."""
    spec = documents()[kind]["spec"]
    return (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]


def compose() -> dict[str, Any]:
    """Return the services of the compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and their arguments."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def secrets() -> set[str]:
    """Return the names in the example of secrets."""
    text = (DEPLOY / "secrets.env.example").read_text()
    return set(re.findall(r"^(\w+)=$", text, flags=re.M))


def nginx(replicas: dict[str, str], port: int, folder: Path) -> str:
    """Return the configuration of the proxy for this machine.

    Args:
        replicas: address by the name in the file.
        port: of the proxy.
        folder: for its files.

    """
    text = (DEPLOY / "nginx.conf").read_text().replace("/tmp/", f"{folder}/")
    for name, address in replicas.items():
        assert text.count(f"server {name}") == 1
        text = re.sub(rf"server {name}(.*) resolve;", rf"server {address}\1;", text)
    assert "listen 8080;" in text
    return text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
