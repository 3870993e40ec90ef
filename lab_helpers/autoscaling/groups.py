"""Node groups of the lab's own clusters: nodes that the provider makes after a boot delay, and takes away again.

They stand where no cloud is. A node knows its group by a label, so a restarted autoscaler finds what is there.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from lab_helpers.autoscaling.room import Object
from lab_helpers.clusters import Cluster, NodeShape, Provider, kwok
from lab_helpers.errors import LabError, SettingError
from lab_helpers.kube import Kube

LABEL = "lab.local/node-group"


@dataclass
class LabGroup:
    """A group of nodes; see options.Group for what it does.

    Attributes:
        shape: what each of its nodes is like, and whether it is a machine (`runs`); its name is not used.
        boot: seconds from the request for a node to its being Ready, at least.
        say: told what goes wrong in the background.
    """

    name: str
    minimum: int
    maximum: int
    shape: NodeShape
    maker: Provider
    cluster: Cluster
    kube: Kube
    boot: float = 0.0
    say: Callable[[str], None] = print
    _desired: int = -1
    _booting: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _quit: threading.Event = field(default_factory=threading.Event)

    @property
    def size(self) -> int:
        """The desired capacity; at first the nodes that are there."""
        if self._desired < 0:
            self._desired = len(self._names())
        return self._desired

    @property
    def template(self) -> Object:
        """The node that would come next."""
        return kwok.node(self._shape(f"{self.name}-template"))

    def _shape(self, name: str) -> NodeShape:
        return replace(self.shape, name=name, labels={**self.shape.labels, LABEL: self.name})

    def _names(self) -> set[str]:
        return {str(node["metadata"]["name"]) for node in self.kube.list("nodes", labels=f"{LABEL}={self.name}")}

    def holds(self, node: Object) -> bool:
        """Whether a node is one of the group."""
        return bool((node["metadata"].get("labels") or {}).get(LABEL) == self.name)

    def set_desired(self, size: int) -> None:
        """Ask for so many nodes; those that are missing boot in the background. It takes none away."""
        with self._lock:
            there = self._names() | self._booting
            self._desired = size
            free = (f"{self.name}-{number}" for number in itertools.count(1))
            fresh = list(itertools.islice((name for name in free if name not in there), max(0, size - len(there))))
            self._booting.update(fresh)
        for name in fresh:
            threading.Thread(target=self._start, args=(name,), name=f"boot {name}", daemon=True).start()

    def _start(self, name: str) -> None:
        try:
            if not self._quit.wait(self.boot):
                self.maker.add_node(self.cluster, self._shape(name))
        except LabError as error:
            self.say(f"{name} did not come: {error.headline} {error.seen}")
        finally:
            with self._lock:
                self._booting.discard(name)

    def delete(self, node: Object) -> None:
        """Take a node away, and ask for one less."""
        self._desired = self.size - 1
        self.maker.remove_node(self.cluster, node["metadata"]["name"])

    def close(self) -> None:
        """Start no more nodes."""
        self._quit.set()


def rows(file: Path) -> list[dict[str, Any]]:
    """The node groups of a file.

    Raises:
        SettingError: it holds none.
    """
    try:
        found = yaml.safe_load(file.read_text())
        good = isinstance(found, list) and all(isinstance(row, dict) and {"name", "max"} <= row.keys() for row in found)
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"{file} cannot be read.", str(error)) from None
    if not good:
        raise SettingError(f"{file} is no list of node groups.", next_step="each needs a name and max: see --help")
    return list(found)


def shape(row: dict[str, Any]) -> NodeShape:
    """The nodes of a row: simulated, unless its `runs` says otherwise."""
    about = {key: value for key, value in row.items() if key not in ("min", "max", "boot")}
    return NodeShape(**{"runs": "nothing", **about, "taints": tuple(row.get("taints", ()))})
