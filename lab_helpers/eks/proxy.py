"""The way to the lab's AWS: an HTTPS proxy on 127.0.0.1 that ends TLS for AWS's host names and refuses all others.

Programs need no endpoint setting: they ask `eks.us-east-1.amazonaws.com` as they would at work, and get there by
HTTPS_PROXY. TLS is ended here and not in the web server, whose accept loop one slow handshake would block.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from lab_helpers.eks.certificates import Authority, is_ours

USER = "aws-of-eks-lab"
"""The proxy's user name, by which a setting of the lab is told from one of the user's own."""

_HEAD_SECONDS, _CHUNK = 30, 65536


def address(port: int, password: str) -> str:
    """The proxy's address for HTTPS_PROXY."""
    return f"http://{USER}:{quote(password)}@127.0.0.1:{port}"


class Proxy:
    """The proxy.

    Args:
        authority: whose certificates it shows.
        password: other users of this machine do not know it.
        behind: the unix socket of the web server that answers.
    """

    def __init__(self, authority: Authority, password: str, behind: Path) -> None:
        self._authority, self._behind = authority, behind
        self._known = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()

    async def serve(self, port: int, ready: Callable[[int], None]) -> None:
        """Serve on a port of 127.0.0.1 (0: any) for ever; `ready` is called with it.

        Raises:
            OSError: the port is taken.
        """
        server = await asyncio.start_server(self._handle, "127.0.0.1", port)
        async with server:
            ready(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, TimeoutError):
            pass  # a client that went away, or that speaks something else
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        host, _, port = target.rpartition(":")
        if refusal := self._refusal(method, host, port, headers):
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._authority.context(host.lower()), ssl_handshake_timeout=_HEAD_SECONDS)
        inner, outer = await asyncio.open_unix_connection(str(self._behind))
        await asyncio.gather(_pass(reader, outer), _pass(inner, writer))

    def _refusal(self, method: str, host: str, port: str, headers: dict[str, str]) -> str:
        if method != "CONNECT" or port != "443" or not is_ours(host):
            return f"403 {host[:80] or 'this'} is not AWS: this lab has no way to the network"
        if not hmac.compare_digest(headers.get("proxy-authorization", "").encode(), self._known.encode()):
            return "407 only for the user who runs this lab"
        return ""


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
