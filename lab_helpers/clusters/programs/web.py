"""A small web server that says which Pod answers, and whose probes can be made to fail.

| path | what it does |
|------|--------------|
| /                      | JSON: pod, node, namespace, version |
| /hostname              | the Pod's name alone |
| /healthz, /readyz      | for the liveness and the readiness probe: 200, or 500 and 503 after /fail/… |
| /fail/live, /fail/ready, /heal | switch those answers |
| /slow?ms=N             | answers after N ms |
| /work?ms=N             | burns N ms of CPU time first |
| /take?mb=N             | takes N MiB of memory and keeps them |
| /env                   | its environment, as JSON |
| /exit?code=N           | ends at once with that code |

Environment: PORT (8080), VERSION, READY=never (/readyz never says yes), START_SECONDS (listens only after so long).
SIGTERM: takes no more requests, finishes those in flight, ends with 0.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MOST_MIB = 512  # taken by /take; more would be the machine's trouble, not the Pod's
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class State:
    """What its probes say, and the memory it holds."""

    def __init__(self) -> None:
        self.live = True
        self.ready = os.environ.get("READY", "") != "never"
        self.taken: list[bytes] = []


def about() -> dict[str, str | None]:
    """Which Pod this is. The node is known where the manifest says so (NODE_NAME from spec.nodeName)."""
    namespace = os.environ.get("LAB_NAMESPACE") or (_NAMESPACE.read_text() if _NAMESPACE.exists() else None)
    return {
        "pod": os.environ.get("HOSTNAME"),
        "node": os.environ.get("NODE_NAME") or os.environ.get("LAB_NODE"),
        "namespace": namespace,
        "version": os.environ.get("VERSION"),
    }


def address(port: int) -> tuple[str, int]:
    """Where to listen: in a container the port itself, on a process node the one it is mapped to (LAB_PORTS)."""
    if "LAB_PORTS" not in os.environ:
        return "0.0.0.0", port
    mapped = json.loads(os.environ["LAB_PORTS"])
    if str(port) not in mapped:
        sys.exit(f"port {port} is none of this container's ports ({', '.join(mapped)}): add it as a containerPort")
    return "127.0.0.1", int(mapped[str(port)])


class Handler(BaseHTTPRequestHandler):
    """One request. HTTP/1.0: each has a connection of its own, so that each is balanced anew."""

    server_version, sys_version = "lab-web", ""
    server: Server

    def do_GET(self) -> None:
        """Answer by path."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        state = self.server.state
        try:
            match url.path:
                case "/":
                    self._answer(200, about())
                case "/hostname":
                    self._answer(200, os.environ.get("HOSTNAME", ""))
                case "/healthz":
                    self._answer(*((200, "ok") if state.live else (500, "not alive")))
                case "/readyz":
                    self._answer(*((200, "ready") if state.ready else (503, "not ready")))
                case "/fail/live" | "/fail/ready" | "/heal":
                    self._switch(url.path)
                case "/slow":
                    time.sleep(_number(query, "ms", 60_000) / 1000)
                    self._answer(200, about())
                case "/work":
                    burn(_number(query, "ms", 60_000) / 1000)
                    self._answer(200, about())
                case "/take":
                    self._take(_number(query, "mb", MOST_MIB))
                case "/env":
                    self._answer(200, {key: value for key, value in os.environ.items() if not _hidden(key)})
                case "/exit":
                    self._answer(200, "leaving")
                    print("leaving, as asked", flush=True)
                    os._exit(_number(query, "code", 255))
                case _:
                    self._answer(404, f"no such path: {url.path}")
        except ValueError as error:
            self._answer(400, str(error))

    do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self, code: int, body: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        data = f"{text}\n".encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Pod", os.environ.get("HOSTNAME", ""))
        self.end_headers()
        self.wfile.write(data)

    def _switch(self, path: str) -> None:
        state = self.server.state
        state.live = path != "/fail/live" and (state.live or path == "/heal")
        state.ready = path != "/fail/ready" and (state.ready or path == "/heal")
        self._answer(200, {"live": state.live, "ready": state.ready})

    def _take(self, mib: int) -> None:
        taken = self.server.state.taken
        room = min(mib, MOST_MIB - len(taken))
        taken.extend(os.urandom(1 << 20) for _ in range(room))
        self._answer(200, f"{len(taken)} MiB taken")

    def log_message(self, format: str, *args: Any) -> None:
        """One line a request on standard output; probes stay silent, as they would bury the rest."""
        if self.path not in ("/healthz", "/readyz"):
            print(f"{time.strftime('%H:%M:%S')} {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    """One thread a request; closing waits for those in flight."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, where: tuple[str, int]) -> None:
        self.state = State()
        super().__init__(where, Handler)

    def server_bind(self) -> None:
        """Bind; http.server would also ask DNS for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "web", self.server_address[1]


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))


def _number(query: dict[str, str], key: str, most: int) -> int:
    text = query.get(key, "")
    if not text.isdigit() or int(text) > most:
        raise ValueError(f"{key} has to be a number from 0 to {most}")
    return int(text)


def _hidden(key: str) -> bool:
    return key.startswith("LAB_") or key.lower() in ("http_proxy", "no_proxy")


def main() -> int:
    """Serve until SIGTERM."""
    port, version = int(os.environ.get("PORT", "8080")), os.environ.get("VERSION")
    if seconds := float(os.environ.get("START_SECONDS", "0")):
        print(f"starting: {seconds:g} s to go", flush=True)
        time.sleep(seconds)
    server = Server(address(port))

    def stop(*_: Any) -> None:
        print("SIGTERM: no more requests, those in flight are finished", flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"listening on port {port}, version {version}", flush=True)
    server.serve_forever(poll_interval=0.5)
    server.server_close()
    print("every request is finished", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
