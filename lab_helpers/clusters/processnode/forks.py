"""The agent's end of the zygote: start a process, know when it ended."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """A process that was forked.

    Attributes:
        pid: its process id; it leads its own group.
        exited: its exit code, once it has one; -N: killed by signal N.
        log: the read end of its standard output and error.
    """

    pid: int
    exited: asyncio.Future[int]
    log: int


class Forks:
    """A zygote of one's own.

    Args:
        folder: stands in its command line, so that whoever looks for a cluster's processes finds it and its children.
    """

    def __init__(self, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", f"{__package__}.zygote", str(theirs.fileno()), f"{folder}/"]
        subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL)
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._started: dict[str, asyncio.Future[int]] = {}
        self._exited: dict[str, asyncio.Future[int]] = {}

    async def follow(self) -> None:
        """Hear what the zygote says, for ever.

        Raises:
            RuntimeError: the zygote ended.
        """
        loop, text = asyncio.get_running_loop(), b""
        while data := await loop.sock_recv(self._socket, 65536):
            text += data
            while b"\n" in text:
                line, text = text.split(b"\n", 1)
                message: dict[str, Any] = json.loads(line)
                if "started" in message:
                    self._started.pop(message["started"]).set_result(message["pid"])
                else:
                    self._exited.pop(message["exit"]).set_result(message["code"])
        raise RuntimeError("the zygote ended")

    async def start(self, name: str, program: str, args: list[str], env: dict[str, str], root: Path) -> Started:
        """Fork one process.

        Args:
            name: unique among all that this zygote ever starts.
            program: a module of `programs`.
            root: its working directory.
        """
        loop = asyncio.get_running_loop()
        started = self._started[name] = loop.create_future()
        exited = self._exited[name] = loop.create_future()
        message = {"id": name, "program": program, "args": args, "env": env, "root": str(root)}
        line = json.dumps(message).encode() + b"\n"
        reading, writing = os.pipe()
        try:
            sent = socket.send_fds(self._socket, [line], [writing])
            if sent < len(line):
                await loop.sock_sendall(self._socket, line[sent:])
        finally:
            os.close(writing)
        return Started(await started, exited, reading)
