"""Memory and CPU of a node's processes: what they use, the limits they are held to, and when there is no room for more.

A process node keeps memory limits by looking four times a second; a container that holds more for itself alone than its
limit is killed, as the kernel would.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import psutil

from lab_helpers.clusters.processnode.container import Container
from lab_helpers.clusters.processnode.inputs import NotYet

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.pod import Pod

MIB = 1 << 20
POD_MIB = 8  # what a Pod takes of this machine, generously (measured: 3 to 6)
RESERVE_MIB = 512  # what has to stay free of it
_PAUSE = 0.25


def room_for(reserve_mib: int = RESERVE_MIB) -> int:
    """How many more Pods this machine has memory for."""
    return max(0, (psutil.virtual_memory().available // MIB - reserve_mib) // POD_MIB)


class Memory:
    """The memory of one node's Pods.

    Args:
        pods: the node's Pods by uid; the agent's own dictionary.
        reserve_mib: what has to stay free of this machine's memory.
    """

    def __init__(self, pods: dict[str, Pod], reserve_mib: int) -> None:
        self._pods, self._reserve = pods, reserve_mib
        self._past_cpu = 0.0

    @property
    def pressure(self) -> bool:
        """Whether there is no room for another Pod."""
        return room_for(self._reserve) < 1

    def admit(self, pod: Pod) -> None:
        """Refuse a Pod that this machine has no memory for.

        Raises:
            NotYet: with the figures.
        """
        if self.pressure:
            free = psutil.virtual_memory().available // MIB
            running = sum(container.pid is not None for other in self._pods.values() for container in other.all)
            raise NotYet(
                "OutOfMemory",
                f"this machine has {free} MiB of memory left, and {self._reserve} MiB have to stay free: "
                f"no process is started for {pod.name}, {running} run on this node; scale something down",
            )

    def ended(self, container: Container) -> None:
        """A process ended: its CPU time stays in the node's sum."""
        self._past_cpu += container.cpu
        container.cpu, container.memory = 0.0, 0

    def usage(self) -> tuple[float, int]:
        """Seconds of CPU time and bytes of all processes, each container's noted on it.

        The agent counts too: metrics-server takes a node that uses nothing for one that does not tell.
        """
        own = psutil.Process()
        times = own.cpu_times()
        cpu, memory = self._past_cpu + times.user + times.system, own.memory_full_info().uss
        for container in self._running():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(container.pid)
                times = process.cpu_times()
                # Held for itself alone: the rest is the zygote's, and the same pages for all.
                container.cpu, container.memory = times.user + times.system, process.memory_full_info().uss
            cpu, memory = cpu + container.cpu, memory + container.memory
        return cpu, memory

    def _running(self) -> list[Container]:
        return [container for pod in self._pods.values() for container in pod.all if container.pid]

    async def hold(self) -> None:
        """Keep the limits, for ever."""
        while True:
            for container in self._running():
                if container.limit and _over(container.pid or 0, container.limit):
                    container.because = "OOMKilled"
                    container.signal(signal.SIGKILL)
            await asyncio.sleep(_PAUSE)


def _over(pid: int, limit: float) -> bool:
    try:
        process = psutil.Process(pid)
        # The quick figure first: it counts shared pages too, so it is never less than the exact one.
        return process.memory_info().rss > limit and process.memory_full_info().uss > limit
    except psutil.Error:
        return False
