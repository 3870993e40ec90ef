"""The lab's HTTP and SOCKS5 proxy: `python -m …proxy FOLDER`. Names and addresses of the cluster become connections to Pods.

It picks an endpoint for every request, and it is no way out: names that are not the cluster's are refused. Whoever asks
has to know the cluster's token: `http://NAMESPACE:TOKEN@127.0.0.1:PORT`; the user name is the namespace of short names.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import ipaddress
import json
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from pathlib import Path
from urllib.parse import urlsplit

from lab_helpers.clusters.processnode.api import Api
from lab_helpers.clusters.processnode.routes import NoRoute, Routes

_AT_ONCE = 400  # connections served at a time; each takes two descriptors
_USAGE = "this is the lab's proxy for names of the cluster: set http_proxy to it, then ask for http://SERVICE.NAMESPACE"
_OWN = ("proxy-authorization", "proxy-connection", "keep-alive", "connection")  # headers between a client and its proxy


class Proxy:
    """One cluster's proxy.

    Args:
        routes: where requests go.
        token: what a client has to know.
    """

    def __init__(self, routes: Routes, token: str) -> None:
        self._routes, self._token = routes, token
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def accept(self, reader: Reader, writer: Writer) -> None:
        """Serve a connection."""
        task = asyncio.ensure_future(self._serve(reader, writer))  # kept: asyncio itself holds it weakly
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        broken = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError, ValueError)
        async with self._room:
            try:
                first = await asyncio.wait_for(reader.readexactly(1), 30)
                await (self._socks(reader, writer) if first == b"\x05" else self._http(first, reader, writer))
            except NoRoute as refused:
                writer.write(_page(refused.status, str(refused)))
            except broken:
                pass
            finally:
                await _close(writer)

    async def _connect(self, host: str, port: int, namespace: str) -> tuple[Reader, Writer]:
        local, who = self._routes.find(host, port, namespace)
        try:
            return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", local), 5)
        except (OSError, TimeoutError):
            raise NoRoute(502, f"{host}:{port}: connection refused by {who}") from None

    def _right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    # -- HTTP ---------------------------------------------------------------------------------------------------

    async def _http(self, start: bytes, reader: Reader, writer: Writer) -> None:
        head = start + await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        first, *lines = head.decode("latin1").split("\r\n")[:-2]
        method, target, version = first.split(" ")
        named = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        namespace = self._authorized(named.get("proxy-authorization", ""))
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream = await self._connect(host, int(port), namespace)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            url = urlsplit(target)
            if not url.hostname:
                raise NoRoute(400, _USAGE)
            upstream = await self._connect(url.hostname, url.port or 80, namespace)
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            upgrade = "upgrade" in named
            kept = [
                line
                for line in lines
                if (name := line.partition(":")[0].strip().lower()) not in _OWN or (upgrade and name == _OWN[3])
            ]
            if not upgrade:
                kept.append("Connection: close")  # one request, one choice of endpoint
            upstream[1].write("\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode("latin1"))
        await _pump(reader, writer, *upstream)

    def _authorized(self, header: str) -> str:
        """The namespace of short names that a client gave with the token."""
        given = base64.b64decode(header.partition(" ")[2] or b"").decode(errors="replace")
        namespace, _, token = given.partition(":")
        if not self._right(token):
            raise NoRoute(407, "this proxy belongs to a lab of another terminal: open the lab's own (lab shell)")
        return namespace or "default"

    # -- SOCKS5 (RFC 1928, user name and password RFC 1929) -----------------------------------------------------

    async def _socks(self, reader: Reader, writer: Writer) -> None:
        offered = await reader.readexactly((await reader.readexactly(1))[0])
        if 2 not in offered:
            writer.write(b"\x05\xff")
            return
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        namespace = (await reader.readexactly((await reader.readexactly(1))[0])).decode(errors="replace")
        token = (await reader.readexactly((await reader.readexactly(1))[0])).decode(errors="replace")
        if not self._right(token):
            writer.write(b"\x01\x01")
            return
        writer.write(b"\x01\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        try:
            upstream = await self._connect(host, port, namespace or "default")
        except NoRoute:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))  # connection refused
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _pump(reader, writer, *upstream)


async def _pump(reader: Reader, writer: Writer, upstream: Reader, there: Writer) -> None:
    """Copy both ways; the end of the answer is the end."""

    async def copy(source: Reader, target: Writer, tell_end: bool) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        if tell_end and target.can_write_eof():
            target.write_eof()

    asking = asyncio.ensure_future(copy(reader, there, True))
    try:
        await copy(upstream, writer, False)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await _close(there)


async def _close(writer: Writer) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.drain(), 5)
    writer.close()


def _page(status: int, message: str) -> bytes:
    body = f"{message}\n".encode()
    more = 'Proxy-Authenticate: Basic realm="lab"\r\n' if status == 407 else ""
    head = (
        f"HTTP/1.1 {status} Lab\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


async def serve(folder: Path) -> None:
    """Serve a cluster, for ever.

    Args:
        folder: the cluster's, with kubeconfig.yaml and proxy.json.
    """
    settings = json.loads((folder / "proxy.json").read_text())
    routes = Routes(Api(folder / "kubeconfig.yaml"))
    server = await asyncio.start_server(Proxy(routes, settings["token"]).accept, "127.0.0.1", settings["port"], backlog=512)
    print(f"proxy on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await routes.follow()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
