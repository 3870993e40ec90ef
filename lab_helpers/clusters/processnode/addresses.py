"""What a node hands out: addresses of Pods, and the ports of this machine that stand for their ports."""

from __future__ import annotations

import ipaddress
import random

from lab_helpers.clusters.ports import free

# Below the range from which the kernel takes ports for outgoing connections: nobody gets them by chance.
_FIRST, _LAST = 20000, 32000


class Addresses:
    """Pod addresses out of the node's podCIDR, ports out of this machine's.

    Args:
        cidr: the node's podCIDR, for instance 10.128.1.0/24.
    """

    def __init__(self, cidr: str) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._next = 0
        self._ips: set[str] = set()
        self._ports: set[int] = set()

    def ip(self, before: str = "") -> str:
        """A free address, the one from before if it is free. They are virtual: only the proxy knows the way."""
        if before and before not in self._ips and ipaddress.ip_address(before) in self._network:
            self._ips.add(before)
            return before
        for _ in range(self._network.num_addresses):
            self._next = self._next % (self._network.num_addresses - 3) + 1
            found = str(self._network[self._next + 1])
            if found not in self._ips:
                self._ips.add(found)
                return found
        raise RuntimeError(f"no free address in {self._network}")

    def port(self, before: int | None = None) -> int:
        """A free port of 127.0.0.1, the one from before if nobody else has taken it."""
        if before and free(before):
            return before
        self._ports.discard(before or 0)
        while True:
            found = random.randint(_FIRST, _LAST)
            if found not in self._ports and free(found):
                self._ports.add(found)
                return found

    def release(self, ip: str, ports: set[int]) -> None:
        """Take back what a Pod had."""
        self._ips.discard(ip)
        self._ports -= ports
