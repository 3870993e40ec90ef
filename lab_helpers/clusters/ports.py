"""Ports of 127.0.0.1 for what the lab starts, and the variables that name its way into a cluster."""

from __future__ import annotations

import random
import socket
import sys


def free_ports(count: int) -> list[int]:
    """Ports below the range from which the kernel takes ports for outgoing connections: nobody gets them by chance."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20000, 32000)
        if port not in found and free(port):
            found.append(port)
    return found


def free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        if sys.platform == "linux":  # what ended a moment ago does not hold its port; elsewhere this hides listeners
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def way_in(url: str) -> dict[str, str]:
    """Variables with which `curl http://web.shop` reaches a cluster; https and this machine's own names are left alone."""
    direct = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost,::1")
    return {"http_proxy": url, "HTTP_PROXY": url, **direct} if url else {}
