"""The ConfigMap kube-system/aws-auth: which node roles it lets in. Read once a second at most; nodes are watched oftener."""

from __future__ import annotations

import time
from typing import Any

import yaml

from lab_helpers.eks import plane
from lab_helpers.eks.model.account import Cluster
from lab_helpers.errors import LabError

_read: dict[str, tuple[float, list[str]]] = {}


def node_roles(cluster: Cluster) -> list[str]:
    """ARNs of the roles whose holders are nodes."""
    when, found = _read.get(cluster.local, (0.0, []))
    if time.monotonic() - when > 1:
        try:
            item = plane.kube(cluster.local, cluster.provider).find("configmap", "aws-auth", "kube-system")
        except LabError:
            return found
        found = _nodes((item or {}).get("data", {}).get("mapRoles", ""))
        _read[cluster.local] = (time.monotonic(), found)
    return found


def _nodes(text: str) -> list[str]:
    try:
        rows: Any = yaml.safe_load(text) or []
        return [row["rolearn"] for row in rows if "system:nodes" in (row.get("groups") or [])]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []
