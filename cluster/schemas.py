"""Whether cluster files are well formed, by the programs that will read them or by their own schemas."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from cluster.settings import launcher, manifests, pod_templates

KUBERNETES = "1.34"
"""The release whose schemas manifests must satisfy."""
RAYJOB_SCHEMA = Path(__file__).parent / "kuberay" / "rayjob.schema.json"


def ray_up(path: Path) -> list[str]:
    """What Ray's own loader, its schema and, for AWS, EC2's own model of RunInstances say of a `ray up` file.

    Args:
        path: the file.

    Returns:
        Its problems, one a line; none for a sound file.
    """
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        content = launcher(path)
        validate_config(prepare_config(content))
    except jsonschema.ValidationError as problem:
        return [f"{'.'.join(map(str, problem.absolute_path)) or 'top level'}: {problem.message}"]
    except SystemExit:
        return ["Ray's loader refuses it."]
    except Exception as problem:  # Ray's loader raises whatever comes
        return [f"Ray's loader refuses it: {type(problem).__name__}: {problem}"]
    if content["provider"]["type"] != "aws":
        return []
    return [
        f"available_node_types.{name}.node_config: {problem}"
        for name, node in content.get("available_node_types", {}).items()
        for problem in _run_instances(node["node_config"])
    ]


def _run_instances(node_config: dict[str, Any]) -> list[str]:
    """What the AWS client would say to these arguments, without asking anybody."""
    from botocore.validate import ParamValidator

    report = ParamValidator().validate({"MinCount": 1, "MaxCount": 1} | node_config, _run_instances_shape())
    return str(report.generate_report()).splitlines() if report.has_errors() else []


@lru_cache(maxsize=1)
def _run_instances_shape() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def kubernetes(path: Path) -> list[str]:
    """What Kubernetes' schemas say of a manifest; of a RayJob, its pods by those and its own fields by ours."""
    import jsonschema

    try:
        documents = manifests(path)
    except Exception as problem:  # YAML's errors, or no manifest
        return [str(problem)]
    problems = []
    for document in documents:
        if document["kind"] != "RayJob":
            problems += _by_kubernetes(document, document["kind"])
            continue
        validator = jsonschema.Draft202012Validator(json.loads(RAYJOB_SCHEMA.read_text("utf-8")))
        own = [
            f"RayJob {'.'.join(map(str, error.absolute_path)) or 'top level'}: {error.message}"
            for error in validator.iter_errors(document)
        ]
        problems += own
        if own:
            continue
        for name, template in pod_templates(document).items():
            pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": template}
            problems += _by_kubernetes(pod, f"RayJob's {name} pod")
        autoscaler = document["spec"]["rayClusterSpec"].get("autoscalerOptions", {})
        container = {name: autoscaler[name] for name in ("resources", "securityContext") if name in autoscaler}
        stand_in = {"spec": {"containers": [{"name": "autoscaler"} | container]}}
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "autoscaler"}, "template": stand_in}
        problems += _by_kubernetes(pod, "RayJob's autoscaler")
    return problems


def _by_kubernetes(document: dict[str, Any], what: str) -> list[str]:
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as problem:
        return [f"{what}: {'.'.join(map(str, problem.path)) or 'top level'}: {problem.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{what}: Kubernetes {KUBERNETES} knows no {document['apiVersion']} {document['kind']}."]
    return []


def dockerfile(path: Path) -> list[str]:
    """What hadolint says."""
    return _said_by("hadolint", "--no-color", "--failure-threshold", "info", str(path))


def shell(path: Path) -> list[str]:
    """What shellcheck says."""
    return _said_by("shellcheck", "--format=gcc", str(path))


def _said_by(program: str, *arguments: str) -> list[str]:
    beside = Path(sys.executable).with_name(program)
    if not beside.exists():
        return [f"{program} is missing; `make install-dev` brings it."]
    answer = subprocess.run([str(beside), *arguments], capture_output=True, text=True, check=False)
    said = (answer.stdout + answer.stderr).strip().splitlines()
    if answer.returncode and not said:
        return [f"{program} failed with exit code {answer.returncode}."]
    return said
