"""What a node needs besides, because of the machine under it: settings for kind, only where they are needed."""

from __future__ import annotations

import json
from typing import Any

from lab_helpers import settings as settings_module
from lab_helpers.clusters import engine
from lab_helpers.settings import writable

_SYS_RESOURCE = 24  # the capability's bit (capabilities(7))

CONTAINERD_PATCH = '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
"""Without the right to lower it, no Pod gets an oom_score_adj below containerd's own."""

KUBELET_PATCH = json.dumps({"kind": "KubeletConfiguration", "failCgroupV1": False})
"""From version 1.35 the kubelet refuses hosts with version 1 of control groups unless it is told otherwise."""


def patches(image: str) -> dict[str, list[str]]:
    """The patches that kind's cluster configuration needs on this engine: empty on most.

    Args:
        image: a node image that is there, to look at the capabilities of its containers.

    Returns:
        `containerdConfigPatches` and `kubeadmConfigPatches`, each where it is needed.
    """
    info, found = engine.required(), {}
    if not _may_raise_limits(info, image):
        found["containerdConfigPatches"] = [CONTAINERD_PATCH]
    if info.cgroup == 1:
        found["kubeadmConfigPatches"] = [KUBELET_PATCH]
    return found


def _may_raise_limits(info: engine.Info, image: str) -> bool:
    """Whether a privileged container has CAP_SYS_RESOURCE; asked once for each engine."""
    if info.rootless:
        return False
    memory = writable(settings_module.load().cache) / "engines.json"
    try:
        known: dict[str, Any] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if info.id not in known:
        said = engine.run(image, "/proc/self/status", options=("--rm", "--privileged", "--entrypoint", "cat"))
        held = next(line.split()[1] for line in said.splitlines() if line.startswith("CapEff"))
        known[info.id] = bool(int(held, 16) >> _SYS_RESOURCE & 1)
        memory.write_text(json.dumps(known))
    return bool(known[info.id])
