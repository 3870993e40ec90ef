"""What an autoscaler is told: upstream's flags, and the node groups that it may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lab_helpers.autoscaling.room import Object


class Group(Protocol):
    """A node group, as a cloud offers it: an Auto Scaling group, for instance.

    Attributes:
        name: unique; what the priority expander's patterns are matched with.
        minimum, maximum: between these sizes the autoscaler may move.
        size: the desired capacity, nodes that are still booting included.
        template: the Node object that a new instance would become.
    """

    name: str
    minimum: int
    maximum: int

    @property
    def size(self) -> int: ...
    @property
    def template(self) -> Object: ...
    def holds(self, node: Object) -> bool: ...
    def set_desired(self, size: int) -> None: ...
    def delete(self, node: Object) -> None: ...


@dataclass(frozen=True)
class Options:
    """Upstream's flags, with its defaults; times in seconds (FAQ, "What are the parameters to CA?")."""

    scan_interval: float = 10
    expander: tuple[str, ...] = ("random",)
    new_pod_scale_up_delay: float = 0
    expendable_pods_priority_cutoff: int = -10
    max_nodes_total: int = 0
    max_node_provision_time: float = 900
    scale_down_enabled: bool = True
    scale_down_utilization_threshold: float = 0.5
    scale_down_unneeded_time: float = 600
    scale_down_delay_after_add: float = 600
    scale_down_delay_after_failure: float = 180
    max_empty_bulk_delete: int = 10
    max_graceful_termination_sec: float = 600
    node_delete_delay_after_taint: float = 5
    skip_nodes_with_system_pods: bool = True
    skip_nodes_with_local_storage: bool = True
    ignore_daemonsets_utilization: bool = False
