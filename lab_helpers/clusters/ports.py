"""Free ports of 127.0.0.1 for what the lab starts."""

from __future__ import annotations

import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports below the range from which the kernel takes ports for outgoing connections: nobody gets them by chance."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
