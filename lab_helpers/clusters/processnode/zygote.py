"""One warm Python process that forks the processes of a node's Pods: `python -m …zygote FD FOLDER`.

A container starts in milliseconds, because nothing is loaded again, and shares the parent's memory pages. The agent
speaks to it over a socket pair: one JSON line a message; the pipe for a container's log travels beside a start as a
file descriptor. When the agent dies the socket ends, and the zygote kills every child: a dead node takes its Pods along.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import traceback
from typing import Any

PROGRAMS = "lab_helpers.clusters.programs"
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _become(message: dict[str, Any], log: int) -> None:
    """Become the container: own session, log, environment and folder; run the program; never return."""
    code = 1
    try:
        os.setsid()
        if sys.platform == "linux":  # elsewhere the zygote kills its children when it ends
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for sign in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(message["env"])
        os.chdir(message["root"])
        random.seed()
        sys.argv = [message["program"], *message["args"]]
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        code = importlib.import_module(f"{PROGRAMS}.{message['program']}").main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 255)


class Zygote:
    """The forking side.

    Args:
        agent: our end of the socket pair.
    """

    def __init__(self, agent: socket.socket) -> None:
        self.agent = agent
        self.children: dict[int, str] = {}
        self._text, self._pipes = b"", list[int]()

    def serve(self) -> None:
        """Fork on demand and report ends, until the agent is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.collect()
        gc.freeze()  # shared pages stay shared
        while True:
            ready, _, _ = select.select([self.agent.fileno(), woken], [], [])
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                self._reap()
            if self.agent.fileno() in ready and not self._receive():
                for pid in self.children:
                    with contextlib.suppress(OSError):
                        os.killpg(pid, signal.SIGKILL)
                os._exit(0)

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self.children:
                self._tell(exit=self.children.pop(pid), code=os.waitstatus_to_exitcode(status))

    def _receive(self) -> bool:
        try:
            data, pipes, _, _ = socket.recv_fds(self.agent, 65536, 16)
        except OSError:
            return False
        if not data:
            return False
        self._text += data
        self._pipes += pipes
        while b"\n" in self._text:
            line, self._text = self._text.split(b"\n", 1)
            message, log = json.loads(line), self._pipes.pop(0)
            pid = os.fork()
            if pid == 0:
                self.agent.close()
                _become(message, log)
            os.close(log)
            self.children[pid] = message["id"]
            self._tell(started=message["id"], pid=pid)
        return True

    def _tell(self, **message: Any) -> None:
        with contextlib.suppress(OSError):  # the agent is gone: the next read says so
            self.agent.sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    """Load the programs, then serve."""
    from lab_helpers.clusters.images import FOR_PODS

    for name in {image.program for image in FOR_PODS.values()}:
        importlib.import_module(f"{PROGRAMS}.{name}")
    Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
