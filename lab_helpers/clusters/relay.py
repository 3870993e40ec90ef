"""The way from a container's loopback to this machine's, for a webhook that listens on 127.0.0.1 alone.

Inside, systemd listens on the same address and passes each connection on to a unix socket, by a program that comes with it; the
socket lies in a folder that is mounted, and here this module passes it on. So nothing new listens on a network, and nobody but
the control plane's machine reaches it. Run as `python -m lab_helpers.clusters.relay FOLDER PORT...`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from lab_helpers import processes
from lab_helpers.clusters import engine
from lab_helpers.clusters.provider import Cluster

NAME = "relay"
_SOCKET = "[Socket]\nListenStream=127.0.0.1:{port}\n\n[Install]\nWantedBy=sockets.target\n"
_SERVICE = "[Service]\nExecStart=/usr/lib/systemd/systemd-socket-proxyd {inside}/{port}.sock\n"


def folder(cluster: Path) -> Path:
    """Where a cluster's sockets lie on this machine."""
    return cluster / "relay"


def prepare(cluster: Path) -> None:
    """Make the folder, before it is mounted; for its owner alone."""
    folder(cluster).mkdir(mode=0o700, exist_ok=True)


def install(cluster: Cluster, machine: str, inside: str) -> None:
    """Put the inner half into the control plane's machine, and start the outer one.

    Args:
        machine: its container.
        inside: where the folder is mounted there.
    """
    for port in cluster.profile.reaches:
        for kind, text in (("socket", _SOCKET), ("service", _SERVICE)):
            unit = text.format(port=port, inside=inside)
            engine.exec(machine, "sh", "-c", f"cat > /etc/systemd/system/lab-relay-{port}.{kind}", input=unit)
        engine.exec(machine, "systemctl", "enable", "--quiet", "--now", f"lab-relay-{port}.socket")
    start(cluster)


def start(cluster: Cluster) -> None:
    """Run the outer half; it runs already, or the cluster reaches nothing: nothing."""
    running = processes.recorded(cluster.folder).get(NAME)
    if not cluster.profile.reaches or (running and processes.alive(running)):
        return
    ports = [str(port) for port in cluster.profile.reaches]
    command = [sys.executable, "-m", "lab_helpers.clusters.relay", str(folder(cluster.folder)), *ports]
    processes.start(NAME, command, folder=cluster.folder)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(path: Path, port: int) -> asyncio.Server:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # nobody listens: the caller sees a connection that ends
            writer.close()
            return
        await asyncio.gather(_pass(reader, back), _pass(there, writer))

    path.unlink(missing_ok=True)  # of a relay that was killed
    return await asyncio.start_unix_server(accept, path)


async def _main(where: Path, ports: list[int]) -> None:
    os.umask(0o177)  # for its owner, who is also root in the machine
    servers = [await _serve(where / f"{port}.sock", port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]))
