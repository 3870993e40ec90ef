"""What an instance is told to become a node: the NodeConfig in its user data, as nodeadm of EKS's AL2023 AMI reads it.

Karpenter writes one for each of its instances. One that is not for this cluster, or cannot be read, makes no node: the
instance runs and costs, as at work.
"""

from __future__ import annotations

import base64
import email
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

_TYPE = "application/node.eks.aws"


@dataclass(frozen=True)
class NodeConfig:
    """The parts of it that are played.

    Attributes:
        cluster: the cluster that the node joins.
        labels: of the kubelet's flag --node-labels.
        taints: with which the node registers, `key=value:Effect`.
        pods: most Pods; None: as many as the AMI's own table says.
    """

    cluster: str
    labels: dict[str, str]
    taints: tuple[str, ...] = ()
    pods: int | None = None


def read(instance: Any) -> NodeConfig | None:
    """An instance's NodeConfig; None: its user data holds none."""
    data = getattr(instance, "user_data", None)
    return _read(str(data)) if data else None


@lru_cache(maxsize=4096)
def _read(encoded: str) -> NodeConfig | None:
    text = base64.b64decode(encoded).decode(errors="replace")
    try:
        return _parsed([yaml.safe_load(part) for part in _parts(text)])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        return None


def _parts(text: str) -> list[str]:
    """The NodeConfig documents: of a multi-part message, or the text itself."""
    if not text.lstrip().startswith(("MIME-Version:", "Content-Type:")):
        return [text] if "node.eks.aws/" in text else []
    found = email.message_from_string(text.lstrip()).walk()
    return [str(part.get_payload()) for part in found if part.get_content_type() == _TYPE]


def _parsed(documents: list[Any]) -> NodeConfig | None:
    if not documents:
        return None
    cluster, labels, kubelet = "", dict[str, str](), dict[str, Any]()
    for document in documents:  # later ones win, field by field
        spec = document["spec"]
        cluster = (spec.get("cluster") or {}).get("name") or cluster
        kubelet |= (spec.get("kubelet") or {}).get("config") or {}
        for flag in (spec.get("kubelet") or {}).get("flags") or []:
            labels |= _labels(flag)
    taints = tuple(f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in kubelet.get("registerWithTaints") or [])
    pods = kubelet.get("maxPods")
    return NodeConfig(cluster, labels, taints, int(pods) if pods else None)


def _labels(flag: str) -> dict[str, str]:
    found = re.match(r'--node-labels="?([^"\s]*)', flag)
    pairs = (part.partition("=") for part in (found[1] if found else "").split(",") if part)
    return {key: value for key, _, value in pairs}
