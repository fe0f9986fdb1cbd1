"""Every file of cluster/ is checked, and a broken one is refused for what is broken in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.check import CHECKS, problems
from tests.conftest import PATIENCE

ROOT = Path(__file__).parents[2]

BROKEN = [
    # Not well formed: found by the programs and schemas.
    ("aws.yaml", "cluster_name: crater-ray", "cluster_nam: crater-ray", "cluster_nam"),
    ("aws.yaml", "idle_timeout_minutes: 10", "idle_timeout_minutes: soon", "idle_timeout_minutes"),
    ("aws.yaml", "InstanceType: m7i.large", "InstanceKind: m7i.large", "InstanceKind"),
    ("aws.yaml", "VolumeSize: 150", "VolumeSize: much", "VolumeSize"),
    ("onpremise.yaml", "  head_ip: 192.0.2.10\n", "", "head_ip"),
    ("onpremise.yaml", "max_workers: 2\nidle", "max_workers: two\nidle", "Ray's loader refuses it"),
    ("kuberay/rayjob.yaml", "backoffLimit: 5", "backofLimit: 5", "backofLimit"),
    ("kuberay/rayjob.yaml", "mountPath: /tmp", "mountpath: /tmp", "'mountPath' is a required"),
    ("kuberay/rayjob.yaml", "policyTypes: [Ingress]", "policyType: [Ingress]", "policyType"),
    ("kuberay/rayjob.yaml", "drop: [ALL]", "drop: ALL", "drop"),
    ("kuberay/rayjob.yaml", "limits: {cpu: 500m, memory: 1Gi}", "limits: [cpu]", "autoscaler"),
    ("kuberay/rayjob.yaml", "kind: NetworkPolicy", "kind: NetworkPolice", "NetworkPolice"),
    ("Dockerfile", "FROM base AS cpu", "FORM base AS cpu", "Dockerfile:"),
    ("Dockerfile", "--no-install-recommends ", "", "DL3015"),
    ("slurm.sh", 'kill -TERM "$driver"', "kill -TERM $drivr", "drivr"),
    ("slurm.sh", "\ntrap end EXIT\n", "\nif trap end EXIT\n", "SC1"),
    # Well formed but open, leaking, or not the pinned thing: found by the rules.
    ("aws.yaml", "    - --env RAY_AUTH_MODE=token\n", "", "RAY_AUTH_MODE must be 'token'"),
    ("aws.yaml", "RAY_USAGE_STATS_ENABLED=0", "RAY_USAGE_STATS_ENABLED=1", "RAY_USAGE_STATS_ENABLED must be '0'"),
    ("aws.yaml", "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "--dashboard-host"),
    ("aws.yaml", "      SecurityGroupIds: [sg-00000000000000000]\n", "", "port 22 to the whole internet"),
    ("aws.yaml", "HttpTokens: required", "HttpTokens: optional", "HttpTokens"),
    ("aws.yaml", "      IamInstanceProfile: {Name: crater-ray-head}\n", "", "IamInstanceProfile is missing"),
    ("aws.yaml", "        MarketType: spot\n", "        MarketType: capacity-block\n", "spot market"),
    ("aws.yaml", ":0.1.0-gpu", ":latest", "no fixed tag"),
    ("aws.yaml", "  /home/ray/.ray/crater-ray: ~", "  /home/ray/elsewhere: ~", "not among file_mounts"),
    ("aws.yaml", "type: aws\n", "type: aws\n  aws_secret_access_key: abc\n", "credential"),
    ("onpremise.yaml", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "RAY_AUTH_MODE must be 'token'"),
    ("onpremise.yaml", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=token --env RAY_AUTH_TOKEN=abc", "token itself"),
    ("kuberay/rayjob.yaml", "      mode: token\n", "", "RAY_AUTH_MODE must be 'token'"),
    ("kuberay/rayjob.yaml", "      secretName: crater-ray-token\n", "", "secretName"),
    ("kuberay/rayjob.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "other than root"),
    ("kuberay/rayjob.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "escalation"),
    ("kuberay/rayjob.yaml", "serviceType: ClusterIP", "serviceType: LoadBalancer", "ClusterIP"),
    ("kuberay/rayjob.yaml", "policyTypes: [Ingress]", "policyTypes: [Egress]", "NetworkPolicy"),
    ("kuberay/rayjob.yaml", "  backoffLimit: 5\n", "  backoffLimit: 0\n", "resubmitted"),
    ("kuberay/rayjob.yaml", 'limits: {cpu: "4", memory: 8Gi}', 'limits: {cpu: "4"}', "no limits"),
    ("kuberay/rayjob.yaml", "rayVersion: 2.60.0", "rayVersion: 2.52.0", "the images hold"),
    ("kuberay/rayjob.yaml", "kind: ServiceAccount", "kind: Secret", "has no place"),
    ("Dockerfile", "USER 1000:1000", "USER root", "USER"),
    ("Dockerfile", " --require-hashes", "", "by hash"),
    ("Dockerfile", "-m compileall -q -j 0", "-m site", "compiled"),
    ("Dockerfile", "--no-deps .", "--no-deps --default-index=here .", "package host"),
    ("Dockerfile", "--no-deps .", "--no-deps --find-links=here .", "package host"),
    ("slurm.sh", "export RAY_AUTH_MODE=token\n", "", "RAY_AUTH_MODE must be 'token'"),
    ("slurm.sh", "export RAY_USAGE_STATS_ENABLED=0\n", "", "RAY_USAGE_STATS_ENABLED must be '0'"),
    ("cpu.lock", "\nray==", "\nray==9.", "requirements.lock"),
    ("gpu.lock", "\npillow==", "\nplow==", "lacks pillow"),
    ("gpu.lock", "--hash=sha256:", "--sum=", "no hash"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of cluster/ that may be broken."""
    shutil.copytree(ROOT / "cluster", tmp_path / "cluster")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return tmp_path / "cluster"


@pytest.mark.parametrize("name", CHECKS)
def test_file_is_sound(name: str) -> None:
    assert problems(ROOT / "cluster" / name, CHECKS[name][1]) == []


@pytest.mark.parametrize(("name", "good", "bad", "said"), BROKEN, ids=lambda value: re.sub(r"\W+", "-", value)[:40])
def test_broken_file_is_refused(copy: Path, name: str, good: str, bad: str, said: str) -> None:
    path = copy / name
    text = path.read_text("utf-8")
    assert good in text, f"{name} no longer has {good!r}: break something else"
    path.write_text(text.replace(good, bad), "utf-8")
    found = problems(path, CHECKS[name][1])
    assert any(said in problem for problem in found), found


def test_image_is_built_from_files_that_are_there_and_let_in() -> None:
    lines = (ROOT / "cluster" / "Dockerfile").read_text("utf-8").splitlines()
    sources = {word for line in lines if re.match(r"COPY (?!--from)", line) for word in line.split()[1:-1]}
    assert {"crater_ray", "pyproject.toml", "cluster/cpu.lock", "cluster/gpu.lock"} <= sources
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert let_in == sources
    assert all((ROOT / source).exists() for source in sources)


def test_every_file_is_broken_somewhere() -> None:
    assert {name for name, *_ in BROKEN} == set(CHECKS)


def test_program_says_what_it_checked_and_fails(copy: Path) -> None:
    (copy / "more.yaml").write_text("cluster_name: unchecked\n")
    (copy / "onpremise.yaml").write_text("cluster_name: [\n")
    (copy / "slurm.sh").unlink()
    answer = subprocess.run(
        [sys.executable, "-m", "cluster.check", copy],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert answer.returncode == 1, answer.stderr
    assert "cluster/aws.yaml: ok (Ray's loader and schema" in answer.stdout
    assert "cluster/onpremise.yaml: FAILED" in answer.stdout
    assert "the file is missing" in answer.stdout
    assert "cluster/more.yaml: FAILED (no check" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr
