"""What a cluster is, on disk: `cluster.json` in its folder, written when the cluster has become usable."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab_helpers.clusters.provider import Cluster, Clusters, NodeShape, Profile
from lab_helpers.settings import writable

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
        more: dict[str, Any] = {key: tuple(profile.get(key, ())) for key in ("ports", "files", "reaches")}
        more |= {key: profile.get(key, False) for key in ("metrics", "managed")}
        more["images"] = profile.get("images", {})
        made_from = Profile(nodes, profile["arguments"], **more)
        return Cluster(folder.name, provider, folder, folder / "kubeconfig.yaml", made_from)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Kept:
    """The part of a provider that is the same for all: clusters are folders with a record, one owner at a time.

    Attributes:
        name: the provider's.
        data: the lab's state folder.
        root: where this provider's clusters stand in it.
    """

    name: str
    data: Path
    root: Path

    def _remove(self, name: str) -> None:
        raise NotImplementedError

    def _lock(self, name: str) -> FileLock:
        return FileLock(writable(self.data / "locks") / f"cluster-{name}.lock")

    def get(self, name: str) -> Cluster | None:
        return load(self.root / name, self.name)

    def list(self) -> Clusters:
        return [cluster for folder in self._folders() if (cluster := load(folder, self.name))]

    def names(self) -> tuple[str, ...]:
        return tuple(folder.name for folder in self._folders())

    def _folders(self) -> tuple[Path, ...]:
        """Whole and half clusters; what begins with a dot is the programs' own."""
        return tuple(sorted(path for path in self.root.glob("[!.]*") if path.is_dir()))

    def delete(self, name: str) -> None:
        with self._lock(name):
            self._remove(name)

    def delete_all(self) -> int:
        folders = self._folders()
        for folder in folders:
            self.delete(folder.name)
        return len(folders)
