"""What a cluster is, on disk: `cluster.json` in its folder, written when the cluster has become usable."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab_helpers.clusters.provider import Cluster, NodeShape, Profile

_FILE = "cluster.json"


def save(cluster: Cluster) -> None:
    """Write the record atomically."""
    text = json.dumps({"provider": cluster.provider, "profile": asdict(cluster.profile)}, indent=1)
    new = cluster.folder / f"{_FILE}.new"
    new.write_text(text)
    new.replace(cluster.folder / _FILE)


def load(folder: Path, provider: str) -> Cluster | None:
    """The cluster of a folder, or None where there is none, none of this provider, or only half of one."""
    try:
        fields: dict[str, Any] = json.loads((folder / _FILE).read_text())
        profile = fields["profile"]
        nodes = tuple(NodeShape(**{**node, "taints": tuple(node["taints"])}) for node in profile["nodes"])
        if fields["provider"] != provider:
            return None
        ports, metrics = tuple(profile.get("ports", ())), profile.get("metrics", False)
        made_from = Profile(nodes, profile["arguments"], ports, metrics)
        return Cluster(folder.name, provider, folder, folder / "kubeconfig.yaml", made_from)
    except (OSError, ValueError, KeyError, TypeError):
        return None
