"""Upstream's Cluster Autoscaler beside a cluster, where LAB_CLUSTER_AUTOSCALER names one; it makes nodes by its kwok provider.

The program is the user's own: its module is not served where the lab is built. Two ConfigMaps tell the provider which groups
there are; it reads them when it starts, and never again. What differs from the course's own loop: a group begins with the nodes
that this program makes (those of the lab are nobody's), its least size is 0, and a node boots in no time.

Sources: kubernetes/autoscaler 1.36.1, cluster-autoscaler/: main.go, cloudprovider/kwok/, clusterstate/utils/status.go.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import toolchain
from lab_helpers.autoscaling.groups import LABEL, shape
from lab_helpers.autoscaling.room import Object
from lab_helpers.clusters import kwok
from lab_helpers.errors import SettingError
from lab_helpers.settings import Settings, executable

VARIABLE = "LAB_CLUSTER_AUTOSCALER"
NAMESPACE = "kube-system"
CONFIG, TEMPLATES = "kwok-provider-config", "kwok-provider-templates"
GROUP = "lab.local/upstream-group"
"""A label of its own: the provider counts every node that has it, whoever made the node."""

_ANNOTATION = "cluster-autoscaler.kwok.nodegroup/"
_PATIENCE = 20.0  # seconds in which it has to say its version
_ALWAYS = {
    "scale-down-unready-time": "30s",
    "unremovable-node-recheck-timeout": "10s",
    "enforce-node-group-min-size": "true",
    "v": "4",  # at this level it says why a node stays
}
# Upstream's program does not look whether its cluster is still there: a loop beside it does, and takes it along. $0 is the
# kubeconfig, $$ the process that becomes the program, 0 their group.
_GUARD = '(while [ -e "$0" ] && kill -0 $$; do sleep 1; done; kill -KILL 0) 2>/dev/null & exec "$@"'


# -- which program --------------------------------------------------------------------------------------------------


def wanted() -> str:
    """The minor version that fits: the cluster's own, because it decides with the scheduler's code."""
    return toolchain.version("kube-scheduler").rpartition(".")[0]


def program(settings: Settings) -> Path | None:
    """The program that the user names, or None: then the course's own loop decides.

    Raises:
        SettingError: it is no program, not this one, or of another minor version.
    """
    if settings.autoscaler is None:
        return None
    path = executable(VARIABLE, settings.autoscaler)
    found = version(path)
    if found.startswith(f"{wanted()}."):
        return path
    seen = f"it says that it is Cluster Autoscaler {found}" if found else "it does not say that it is Cluster Autoscaler"
    raise SettingError(
        f"{VARIABLE} is {str(path)!r}, which does not fit.", seen, f"name one of {wanted()}.x, or: unset {VARIABLE}"
    )


def version(path: Path) -> str:
    """The version that it says; empty: none. It has no flag for that: started without a cluster, it says it and ends."""
    nowhere = ("--v=1", "--leader-elect=false", "--address=127.0.0.1:0", f"--kubeconfig={os.devnull}")
    env = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
    try:
        child = subprocess.Popen(
            [path, *nowhere],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise SettingError(f"{VARIABLE} is {str(path)!r}, which does not start.", str(error.strerror)) from None
    timer = threading.Timer(_PATIENCE, _kill, (child.pid,))
    timer.start()
    try:
        assert child.stdout
        for line in child.stdout:
            if found := re.search(rb"Cluster Autoscaler v?(\d+\.\d+\.\d+)", line):
                return found[1].decode()
        return ""
    finally:
        timer.cancel()
        _kill(child.pid)  # not reaped yet, so the number is still its own
        with child:
            pass


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


# -- what it is told ------------------------------------------------------------------------------------------------


def command(path: Path, kubeconfig: Path, port: int, flags: Sequence[str]) -> list[str]:
    """What is to be run, environment included, so that it can be run again as it is.

    Args:
        port: of 127.0.0.1, for its metrics.
        flags: of the lesson; they win.
    """
    given = {flag.lstrip("-").partition("=")[0] for flag in flags}
    words = [
        "--cloud-provider=kwok",
        f"--kubeconfig={kubeconfig}",
        f"--namespace={NAMESPACE}",
        "--leader-elect=false",
        f"--address=127.0.0.1:{port}",
        *(f"--{name}={value}" for name, value in _ALWAYS.items() if name not in given),
        *flags,
    ]
    # The provider reads KUBECONFIG, everything else in the program the flag.
    env = [f"KUBECONFIG={kubeconfig}", "KWOK_PROVIDER_MODE=local", f"POD_NAMESPACE={NAMESPACE}"]
    return ["/bin/sh", "-c", _GUARD, str(kubeconfig), "/usr/bin/env", *env, str(path), *words]


def is_upstream(words: Sequence[str]) -> bool:
    """Whether a command is one of `command`."""
    return "KWOK_PROVIDER_MODE=local" in words


def config_maps(rows: Iterable[dict[str, Any]]) -> list[Object]:
    """What the kwok provider reads when it starts: how groups are told apart, and a node of each."""
    config = {
        "apiVersion": "v1alpha1",
        "readNodesFrom": "configmap",
        "nodegroups": {"fromNodeLabelKey": GROUP},
        "nodes": {"skipTaint": True},  # otherwise no Pod without a toleration of its own goes there
        "configmap": {"name": TEMPLATES},
    }
    # One document with a List: a Node that stands alone is refused.
    nodes = {"apiVersion": "v1", "kind": "List", "items": [template(row) for row in rows]}
    texts = {CONFIG: ("config", config), TEMPLATES: ("templates", nodes)}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {key: yaml.safe_dump(body, sort_keys=False)},
        }
        for name, (key, body) in texts.items()
    ]


def template(row: dict[str, Any]) -> Object:
    """The node of a group.

    Its least size is 0 whatever the file says: the provider cannot count the lab's own nodes, and would buy the least size
    beside them. Without the label of the host, because every node would have the template's.
    """
    node = kwok.node(shape(row))
    labels = node["metadata"]["labels"]
    del labels["kubernetes.io/hostname"]
    labels |= {LABEL: row["name"], GROUP: row["name"]}
    sizes = {"name": row["name"], "min-count": "0", "max-count": str(row["max"])}
    node["metadata"]["annotations"] |= {f"{_ANNOTATION}{key}": value for key, value in sizes.items()}
    return node


# -- what it says ---------------------------------------------------------------------------------------------------


def moment(text: str) -> float:
    """A time of the status ConfigMap as seconds since 1970: upstream's `2026-11-29 08:00:00.12 +0000 UTC`, or the API's."""
    text = re.sub(r"^(\S+) (\S+) ([+-]\d{4}).*", r"\1T\2\3", text)
    return datetime.fromisoformat(text).timestamp()


def staying(lines: Iterable[tuple[float, str]], seconds: float = 12) -> dict[str, str]:
    """Each node that is not removed now, and why, from its log: what it said in the last seconds of it.

    Args:
        lines: (seconds since 1970, words). It looks again at a node after `unremovable-node-recheck-timeout`.
    """
    lines = list(lines)
    newest = max((at for at, _ in lines), default=0.0)
    found = [re.match(r"[Nn]ode (\S+) (?:unremovable|cannot be removed): (.*)", words)
             for at, words in lines if at >= newest - seconds]  # fmt: skip
    return {one[1]: one[2] for one in found if one}
