"""A node image is called good when a cluster of it boots and a Pod in it answers through a Service."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab_helpers import processes, toolchain
from lab_helpers.clusters import engine
from lab_helpers.clusters.nodeimage import host, offline
from lab_helpers.errors import ClusterError, LabError, ProgramError
from lab_helpers.settings import Settings

Say = Callable[[str], None]

_NAME = "lab-check"
_CREATE_SECONDS = 180
_ANSWER_SECONDS = 90

_PODS = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: web, image: "lab.local/web:1.0", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  containers: [{name: shell, image: "lab.local/shell:1.0", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""


def check(settings: Settings, image: str, say: Say) -> None:
    """Boot a cluster of one node and ask a Pod by its Service's name; everything is removed again.

    Raises:
        ClusterError: the image is not good; the error carries what was seen.
    """
    with offline.step(say, "node image: the check: a cluster boots, a Pod answers (half a minute)"):
        _boot(settings, image)


def _boot(settings: Settings, image: str) -> None:
    _sweep()
    name = f"{_NAME}-{os.getpid()}"
    programs = toolchain.ensure(["kind", "kubectl"])
    env = {**engine.environment(labelling=settings), "KIND_EXPERIMENTAL_DOCKER_NETWORK": name}
    engine.docker("network", "create", *engine.labels(), name)
    with tempfile.TemporaryDirectory(prefix="lab-check-") as temporary:
        kubeconfig, config = Path(temporary) / "kubeconfig", Path(temporary) / "kind.json"
        config.write_text(json.dumps({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", **host.patches(image)}))
        kind: list[str | Path] = [programs["kind"], "--quiet"]
        flags: list[str | Path] = ["--name", name, "--kubeconfig", kubeconfig]
        try:
            create = [*kind, "create", "cluster", *flags, "--image", image, "--config", config]
            processes.run(create, env=env, timeout=_CREATE_SECONDS)
            _ask([programs["kubectl"], "--kubeconfig", kubeconfig], Path(temporary))
        except (ProgramError, LabError) as error:
            seen = f"{error.headline} {error.seen}"[-2000:]
            raise ClusterError(
                "The node image does not work: no Pod answered in a cluster of it.", seen, "lab doctor"
            ) from None
        finally:
            processes.run([*kind, "delete", "cluster", *flags], env=env, timeout=60)
            engine.docker("network", "rm", name)


def _sweep() -> None:
    """Remove what a check that was killed has left: nobody else checks in this data folder, the caller has the lock."""
    for what, words in (("container", ("rm", "--force", "--volumes")), ("network", ("rm",))):
        if left := engine.listed(what, f"name={_NAME}-"):
            engine.docker(what, *words, *left)


def _ask(kubectl: list[str | Path], folder: Path) -> None:
    """Make two Pods and a Service, and let one Pod ask the other."""
    manifest = folder / "pods.yaml"
    manifest.write_text(_PODS)
    last = ""

    def account() -> bool:
        nonlocal last
        try:
            processes.run([*kubectl, "get", "serviceaccount", "default"], timeout=20)
            return True
        except ProgramError as error:
            last = error.seen
            return False

    def answer() -> bool:
        nonlocal last
        try:
            last = processes.run([*kubectl, "exec", "shell", "--", "curl", "-sS", "-m", "5", "http://web/"], timeout=20)
            return '"version"' in last
        except ProgramError as error:
            last = error.seen
            return False

    try:
        processes.wait_until(account, deadline=_ANSWER_SECONDS, what="The cluster's first service account")
        processes.run([*kubectl, "apply", "-f", manifest], timeout=30)
        processes.wait_until(answer, deadline=_ANSWER_SECONDS, what="An answer of the Pod web through its Service")
    except LabError as error:
        pods = processes.run([*kubectl, "get", "pods,nodes", "-A", "-o", "wide"], timeout=20)
        raise ClusterError(error.headline, f"{last}\n{pods}") from None
