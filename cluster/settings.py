"""What the cluster files set for Ray's processes: read from the files, so that checks and tests see what users get."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?i:aws_secret_access_key|aws_session_token|ray_auth_token)[\"']?\s*[=:]\s*[\"']?[^\s\"'$]"
)
"""Credentials written out: key ids, private keys, and secrets given a value that is not a variable."""


def launcher(path: Path) -> dict[str, Any]:
    """A file for `ray up`, as it is written.

    Raises:
        ValueError: it is not a YAML mapping.
    """
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"it must be a YAML mapping; it is a {type(content).__name__}.")
    return content


def manifests(path: Path) -> list[dict[str, Any]]:
    """The documents of a Kubernetes file.

    Raises:
        ValueError: one of them is not a mapping with apiVersion and kind.
    """
    documents = list(yaml.safe_load_all(path.read_text("utf-8")))
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict) or not {"apiVersion", "kind"} <= set(document):
            raise ValueError(f"document {number} has no apiVersion and kind.")
    return documents


def pod_templates(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The pod templates of a RayJob, by what they are for."""
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    found = {"head": cluster["headGroupSpec"]["template"]}
    found |= {group["groupName"]: group["template"] for group in cluster.get("workerGroupSpecs", [])}
    if "submitterPodTemplate" in spec:
        found["submitter"] = spec["submitterPodTemplate"]
    return found


def environments(path: Path) -> dict[str, dict[str, str]]:
    """Variables that a cluster file gives to Ray's processes.

    Args:
        path: a file for `ray up`, a manifest with a RayJob, or a shell script.

    Returns:
        Names and values, for each kind of node that the file tells apart.
    """
    if path.suffix == ".sh":
        return {"job": dict(re.findall(r'^export (\w+)="?([^"\n]*)"?$', path.read_text("utf-8"), re.MULTILINE))}
    if any("kind" in document for document in yaml.safe_load_all(path.read_text("utf-8"))):
        return _of_pods(path)
    docker = launcher(path).get("docker", {})
    return {
        node: dict(
            re.findall(r"(?:--env|-e)[ =](\w+)=(\S*)", "\n".join(docker.get("run_options", []) + docker.get(own, [])))
        )
        for node, own in (("head", "head_run_options"), ("worker", "worker_run_options"))
    }


def _of_pods(path: Path) -> dict[str, dict[str, str]]:
    found = {}
    for job in manifests(path):
        if job["kind"] != "RayJob":
            continue
        # KubeRay 1.6 puts these two into every Ray container when authOptions says so.
        options = job["spec"]["rayClusterSpec"].get("authOptions", {})
        token = {"RAY_AUTH_MODE": options["mode"]} if "mode" in options else {}
        for name, template in pod_templates(job).items():
            own = {
                variable["name"]: variable.get("value", "")
                for container in template["spec"]["containers"]
                for variable in container.get("env", [])
            }
            found[name] = token | own
    return found
