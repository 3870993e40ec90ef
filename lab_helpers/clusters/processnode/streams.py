"""kubectl exec and port-forward, over the streams of an upgraded connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any

from lab_helpers.clusters.processnode import commands
from lab_helpers.clusters.processnode.pod import Pod
from lab_helpers.clusters.processnode.spdy import Connection, Stream

Query = dict[str, list[str]]
_WANTED = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"))


class Session:
    """One upgraded connection to one Pod."""

    def __init__(self, connection: Connection, pod: Pod) -> None:
        self._connection, self._pod = connection, pod
        self._tasks: set[asyncio.Task[None]] = set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, on_stream: Any) -> None:
        try:
            await self._connection.serve(on_stream)
        finally:
            for task in list(self._tasks):
                task.cancel()

    async def forward(self) -> None:
        """Port-forward: each connection of the client is a pair of streams, data and error, with one request id."""
        pairs: dict[str, dict[str, Stream]] = {}

        def on_stream(stream: Stream) -> None:
            number = stream.headers.get("requestid", "")
            pair = pairs.setdefault(number, {})
            pair[stream.headers["streamtype"]] = stream
            if len(pair) == 2:
                del pairs[number]
                self._spawn(self._connect(pair["data"], pair["error"]))

        await self._serve(on_stream)

    async def _connect(self, data: Stream, error: Stream) -> None:
        port = int(data.headers["port"])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._pod.ports[port])
        except (OSError, KeyError):
            await error.write(f"nothing listens on port {port} of Pod {self._pod.name}".encode(), end=True)
            await data.write(b"", end=True)
            return
        up = asyncio.ensure_future(_upload(data, writer))
        try:
            with contextlib.suppress(OSError):
                while piece := await reader.read(32768):
                    await data.write(piece)
        finally:
            up.cancel()
            writer.close()
            await data.write(b"", end=True)
            await error.write(b"", end=True)

    async def exec(self, container: str, query: Query) -> None:
        """Run one command of the table; the exit code goes as a Status over the error stream."""
        asked = {name for name, key in _WANTED if query.get(key, ["0"])[0] in ("1", "true")}
        open_streams: dict[str, Stream] = {}

        def on_stream(stream: Stream) -> None:
            open_streams[stream.headers["streamtype"]] = stream
            if open_streams.keys() >= asked | {"error"}:
                self._spawn(self._command(container, query.get("command", []), open_streams))

        await self._serve(on_stream)

    async def _command(self, container: str, command: list[str], streams: dict[str, Stream]) -> None:
        code, said = await commands.run(self._pod, self._pod.containers[container], command)
        wanted = "stdout" if code == 0 or "stderr" not in streams else "stderr"
        if said and wanted in streams:
            await streams[wanted].write(said.encode())
        for name in ("stdout", "stderr"):
            if name in streams:
                await streams[name].write(b"", end=True)
        await streams["error"].write(json.dumps(_verdict(code)).encode(), end=True)
        # The client closes when it has read all; a connection that we close first would cut its answer off.
        await asyncio.sleep(5)
        self._connection.writer.close()


async def _upload(data: Stream, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await data.read():
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _verdict(code: int) -> dict[str, Any]:
    """A Status as v4.channel.k8s.io wants it."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with exit code {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
