"""What every cluster file must keep to, beyond being well formed: nobody gets in, nothing secret is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.settings import SECRET, environments, launcher, manifests, pod_templates

REQUIRED = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
"""What each Ray process of a cluster must find in its environment."""
PINNED = re.compile(r"[^:@\s]+(?::[0-9]+/[^:@\s]+)?(?::(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})")
"""An image that is named with a tag other than `latest`, or by digest."""
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==(\S+)", re.MULTILINE)
"""A package and its version in a lock file."""


def settings(path: Path) -> Iterator[str]:
    """Token authentication on and usage reports off, on every kind of node."""
    found = environments(path)
    if not found:
        yield "it starts no Ray."
    for node, variables in found.items():
        for name, value in REQUIRED.items():
            if variables.get(name) != value:
                yield f"{node}: {name} must be {value!r}; it is {variables.get(name)!r}."
        if variables.get("RAY_AUTH_TOKEN"):
            yield f"{node}: the token itself must not be in a file; give its path as RAY_AUTH_TOKEN_PATH."


def nothing_secret(path: Path) -> Iterator[str]:
    """No credentials, and no package hosts that differ from place to place."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if SECRET.search(line):
            yield f"line {number} holds what looks like a credential; they come from the environment's chain only."
        if re.search(r"--(extra-|default-)?index\b|--find-links", line):
            yield f"line {number} names a package host; leave that to pip's configuration."


def ray_up(path: Path) -> Iterator[str]:
    """The dashboard on loopback, pinned images, the token's folder copied to every node."""
    content = launcher(path)
    heads = [line for line in content.get("head_start_ray_commands", []) if "ray start" in line]
    if not heads or not all(re.search(r"--dashboard-host[= ]127\.0\.0\.1\b", line) for line in heads):
        yield "head_start_ray_commands: `ray start` must have --dashboard-host=127.0.0.1."
    docker = content.get("docker", {})
    for name in ("image", "head_image", "worker_image"):
        if name in docker and not PINNED.fullmatch(docker[name]):
            yield f"docker.{name}: {docker[name]!r} has no fixed tag or digest."
    for node, variables in environments(path).items():
        token = variables.get("RAY_AUTH_TOKEN_PATH", "")
        if str(Path(token).parent) not in content.get("file_mounts", {}):
            yield f"{node}: the folder of RAY_AUTH_TOKEN_PATH ({token!r}) is not among file_mounts."
    if content["provider"]["type"] == "aws":
        yield from _aws(content)


def _aws(content: dict[str, Any]) -> Iterator[str]:
    if "security_group" in content["provider"]:
        yield "provider.security_group: a group that Ray makes lets the whole internet try ssh; use SecurityGroupIds."
    head = content["head_node_type"]
    spot = set()
    for name, node in content["available_node_types"].items():
        machine = node["node_config"]
        if not machine.get("SecurityGroupIds"):
            yield f"{name}: SecurityGroupIds is missing; Ray would open port 22 to the whole internet."
        if not machine.get("IamInstanceProfile"):
            yield f"{name}: IamInstanceProfile is missing; credentials for S3 come from it."
        if machine.get("MetadataOptions", {}).get("HttpTokens") != "required":
            yield f"{name}: MetadataOptions.HttpTokens must be 'required'."
        if machine.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
            spot.add(name)
    if head in spot:
        yield f"{head}: the head must be on demand; losing it ends the try."
    if not spot - {head}:
        yield "no kind of worker is on the spot market."


def kubernetes(path: Path) -> Iterator[str]:
    """Non-root pods with limits, ports closed to others, resubmission, the Ray version of the lock."""
    documents = manifests(path)
    policies = [
        document["spec"]["podSelector"].get("matchLabels", {})
        for document in documents
        if document["kind"] == "NetworkPolicy" and "Ingress" in document["spec"].get("policyTypes", [])
    ]
    for document in documents:
        if document["kind"] in ("Secret", "Ingress"):
            yield f"a document of kind {document['kind']} has no place in this file."
        if document["kind"] == "RayJob":
            yield from _job(document["spec"], path)
            for name, template in pod_templates(document).items():
                yield from _pod(name, template, policies)


def _job(spec: dict[str, Any], path: Path) -> Iterator[str]:
    cluster = spec["rayClusterSpec"]
    if not cluster.get("authOptions", {}).get("secretName"):
        yield "authOptions.secretName is missing."
    if not spec.get("backoffLimit"):
        yield "backoffLimit must be above 0: a dead driver must be resubmitted."
    if not spec.get("shutdownAfterJobFinishes"):
        yield "shutdownAfterJobFinishes must be true."
    head = cluster["headGroupSpec"]
    if head.get("serviceType") != "ClusterIP" or head.get("enableIngress") is not False:
        yield "the head's service must be a ClusterIP without ingress."
    locked = dict(LOCKED.findall((path.parents[1] / "cpu.lock").read_text("utf-8"))).get("ray")
    if cluster["rayVersion"] != locked:
        yield f"rayVersion is {cluster['rayVersion']}; the images hold {locked}."


def _pod(name: str, template: dict[str, Any], policies: list[dict[str, str]]) -> Iterator[str]:
    spec = template["spec"]
    labels = template.get("metadata", {}).get("labels", {})
    if not any(policy.items() <= labels.items() for policy in policies):
        yield f"{name}: no NetworkPolicy selects this pod."
    if spec.get("hostNetwork"):
        yield f"{name}: hostNetwork would open Ray's ports on the machine."
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield f"{name}: the pod must run as a user other than root (runAsNonRoot, runAsUser)."
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{name}: seccompProfile must be RuntimeDefault."
    for container in spec["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: its container must drop all capabilities and allow no escalation."
        if not {"cpu", "memory"} <= set(container.get("resources", {}).get("limits", {})):
            yield f"{name}: its container has no limits of cpu and memory."
        if not PINNED.fullmatch(container["image"]):
            yield f"{name}: image {container['image']!r} has no fixed tag or digest."
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{name}: a hostPort would open Ray's ports on the machine."


def dockerfile(path: Path) -> Iterator[str]:
    """Both images non-root, compiled, installed from the locks by hash."""
    stages = dict(
        re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
    for kind in ("cpu", "gpu"):
        users = re.findall(r"^USER (\S+)", stages.get(kind, ""), re.MULTILINE)
        if not users or re.match(r"(root|0)(:|$)", users[-1]):
            yield f"the image {kind!r} must end with a USER that is not root."
        if f"pip install --no-compile --require-hashes -r {kind}.lock" not in stages.get(f"packages-{kind}", ""):
            yield f"the image {kind!r} must be installed by hash from {kind}.lock."
        if "-m compileall" not in stages.get(f"installed-{kind}", ""):
            yield f"the image {kind!r} must have its bytecode compiled."


def lock(path: Path) -> Iterator[str]:
    """An image's lock: every package by hash, each at the version of the project's lock."""
    ours = set(LOCKED.findall(path.read_text("utf-8")))
    theirs = set(LOCKED.findall((path.parents[1] / "requirements.lock").read_text("utf-8")))
    if missing := {name for name, _ in theirs} - {name for name, _ in ours}:
        yield f"lacks {', '.join(sorted(missing))} of requirements.lock; run `make lock`."
    for name, version in sorted(ours):
        known = {other for package, other in theirs if package == name}
        if known and version not in known:
            yield f"has {name} {version}, requirements.lock {', '.join(sorted(known))}; run `make lock`."
    blocks = re.split(r"^(?=[A-Za-z0-9])", path.read_text("utf-8"), flags=re.MULTILINE)
    for block in blocks:
        if LOCKED.match(block) and "--hash=sha256:" not in block:
            yield f"{block.split()[0]} has no hash."
