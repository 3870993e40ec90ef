"""The kubelet's HTTPS API, as far as the API server and metrics-server use it: logs, exec, port-forward, /metrics/resource.

Only a client certificate of the group system:masters is let in: the API server's, and with the same one metrics-server's.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from lab_helpers.clusters.processnode.container import Container, Line
from lab_helpers.clusters.processnode.spdy import Connection
from lab_helpers.clusters.processnode.streams import Query, Session

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.agent import Agent

_NO_PATH = "a process node has no such path: only logs, exec of a table of commands, port-forward and metrics\n"


class KubeletApi:
    """The server of one node."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def start(self, folder: Path) -> int:
        """Listen on a free port of 127.0.0.1; the port.

        Args:
            folder: the node's, with its certificate and `ca.crt`.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
        context.load_cert_chain(folder / "node.crt", folder / "node.key")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            subject = dict(field[0] for field in writer.get_extra_info("peercert").get("subject", []))
            if subject.get("organizationName") != "system:masters":
                _reply(writer, 403, "this node answers the API server only\n")
                return
            while await self._request(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in lines if line):
            key = name.lower()  # one header may come in several lines: the order is the order of preference
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        url = urlsplit(first.split(" ")[1])
        path, query = [unquote(part) for part in url.path.strip("/").split("/")], parse_qs(url.query, keep_blank_values=True)
        if path[0] in ("exec", "portForward") and "upgrade" in headers and len(path) >= 3:
            await self._upgrade(path, query, headers, reader, writer)
            return False
        if path[0] == "containerLogs" and len(path) == 4:
            await self._logs(path, query, writer)
            return False
        if url.path == "/metrics/resource":
            _reply(writer, 200, self.metrics(), "text/plain; version=0.0.4")
        elif url.path == "/healthz":
            _reply(writer, 200, "ok")
        else:
            _reply(writer, 404, _NO_PATH)
        return True

    def metrics(self) -> str:
        """Usage of the node and its containers, in Prometheus' text format, named as a kubelet names it."""
        cpu, memory = self._agent.memory.usage()
        now = int(time.time() * 1000)
        rows = [
            "# TYPE node_cpu_usage_seconds_total counter",
            f"node_cpu_usage_seconds_total {cpu:.6f} {now}",
            "# TYPE node_memory_working_set_bytes gauge",
            f"node_memory_working_set_bytes {memory} {now}",
        ]
        running = [(pod, found) for pod in self._agent.pods.values() for found in pod.containers.values() if found.pid]
        series = {
            "container_start_time_seconds": ("gauge", lambda found: f"{found.started_at:.3f}"),
            "container_cpu_usage_seconds_total": ("counter", lambda found: f"{found.cpu:.6f}"),
            "container_memory_working_set_bytes": ("gauge", lambda found: str(found.memory)),
        }
        for name, (kind, value) in series.items():
            rows.append(f"# TYPE {name} {kind}")
            for pod, found in running:
                labels = f'container="{found.name}",namespace="{pod.namespace}",pod="{pod.name}"'
                rows.append(f"{name}{{{labels}}} {value(found)} {now}")
        return "\n".join([*rows, "# TYPE resource_scrape_error gauge", "resource_scrape_error 0", ""])

    async def _logs(self, path: list[str], query: Query, writer: asyncio.StreamWriter) -> None:
        pod = self._agent.find(path[1], path[2])
        container = next((found for found in pod.all if found.name == path[3]), None) if pod else None
        if container is None:
            _reply(writer, 404, f"container {path[3]} is not on this node\n")
            return
        if not container.runs:
            waiting = container.state.get("waiting", {})
            reason = waiting.get("message") or waiting.get("reason", "")
            _reply(writer, 400, f"container {path[3]} has not started: {reason}\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        await _send_log(container, query, writer)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _upgrade(
        self,
        path: list[str],
        query: Query,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        pod = self._agent.find(path[1], path[2])
        if not pod or (path[0] == "exec" and path[3] not in pod.containers):
            _reply(writer, 404, "no such container on this node\n")
            return
        offered = [name.strip() for name in headers.get("x-stream-protocol-version", "").split(",")]
        # v4 tells exit codes; the last one offered would be v1, which does not.
        wanted = "portforward.k8s.io" if path[0] == "portForward" else "v4.channel.k8s.io"
        protocol = wanted if wanted in offered else offered[0]
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            + f"X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode()
        )
        session = Session(Connection(reader, writer), pod)
        if path[0] == "portForward":
            await session.forward()
        else:
            await session.exec(path[3], query)


def _reply(writer: asyncio.StreamWriter, code: int, text: str, kind: str = "text/plain") -> None:
    data = text.encode()
    writer.write(f"HTTP/1.1 {code} -\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)


async def _send_log(container: Container, query: Query, writer: asyncio.StreamWriter) -> None:
    """A container's log, in chunks, with kubectl's options."""
    stamped, follow = query.get("timestamps") == ["true"], query.get("follow") == ["true"]
    log = container.log
    lines = list(log.previous if query.get("previous") == ["true"] else log.lines)
    if "sinceSeconds" in query:
        since = time.time() - int(query["sinceSeconds"][0])
        lines = [line for line in lines if line[0] >= since]
    if "tailLines" in query:
        count = int(query["tailLines"][0])
        lines = lines[-count:] if count else []

    def put(line: Line) -> None:
        moment = datetime.datetime.fromtimestamp(line[0], datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ") if stamped else ""
        data = f"{moment}{line[1]}\n".encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    queue: asyncio.Queue[Line | None] = asyncio.Queue()
    if follow and container.pid:
        log.followers.add(queue)
    try:
        for line in lines:
            put(line)
        await writer.drain()
        while follow and container.pid and (more := await queue.get()):
            put(more)
            await writer.drain()
    finally:
        log.followers.discard(queue)
