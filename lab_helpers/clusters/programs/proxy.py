"""The way from this machine into a kind cluster: an HTTP proxy that runs in it, so `curl http://web.shop` just works.

It asks the cluster's own DNS and connects like any Pod: which Pod answers is kube-proxy's choice. Only for kind; a process
node's Pods are reached by the embedded provider's own proxy.

Environment: PORT (30999), TOKEN (the password that the proxy's URL must carry; its user name is the namespace of names
without a dot). 502: no such name, or nobody listens there; 503: the Service has no ready endpoints; 407: a wrong password.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import sys
from urllib.parse import urlsplit

HEAD_BYTES = 65536
CONNECT_SECONDS = 10
_DROPPED = (b"proxy-authorization:", b"proxy-connection:", b"connection:", b"keep-alive:")
_WORDS = {400: "Bad Request", 407: "Proxy Authentication Required", 502: "Bad Gateway", 503: "Service Unavailable"}


class Refused(Exception):
    """A request that cannot be passed on: status and the reason in words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


def route(first: str, namespace: str) -> tuple[str, int, bytes]:
    """Host, port and new request line of a proxy request's first line.

    Args:
        first: for instance `GET http://web.shop/x HTTP/1.1`, or `CONNECT web.shop:443 HTTP/1.1`.
        namespace: of names without a dot.
    """
    try:
        method, target, version = first.split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname or "", parts.port or (443 if method == "CONNECT" else 80)
    except ValueError:
        raise Refused(400, f"not a proxy request: {first[:80]!r}") from None
    if not host or (method != "CONNECT" and parts.scheme != "http"):
        raise Refused(400, "only http:// addresses go through here")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # With the dot at its end a name is asked for as it is, not first with every domain of resolv.conf behind it.
    full = host if "." in host or ":" in host else f"{host}.{namespace}.svc.cluster.local."
    return full, port, b"" if method == "CONNECT" else f"{method} {path} {version}\r\n".encode()


def namespace_of(head: list[bytes], token: str) -> str:
    """The namespace that the proxy's user name names; the password must be the token."""
    given = next((line for line in head if line.lower().startswith(b"proxy-authorization: basic ")), b"")
    try:
        user, _, password = base64.b64decode(given.split()[-1] if given else b"").decode().partition(":")
    except ValueError:
        user, password = "", ""
    if token and password != token:
        raise Refused(407, "this proxy belongs to a lab: its address carries a password")
    return user or "default"


async def connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a name or an address in the cluster.

    Names are asked for IPv4 alone. Asked for both at once, by one socket, one of the two questions is now and then lost in
    the kernel's address translation, and the answer takes five seconds (kubernetes/kubernetes#56903).
    """
    family = socket.AF_UNSPEC if ":" in host else socket.AF_INET
    try:
        return await asyncio.wait_for(asyncio.open_connection(host, port, family=family), CONNECT_SECONDS)
    except socket.gaierror:
        raise Refused(502, f"the cluster's DNS knows no {host.rstrip('.')}") from None
    except ConnectionRefusedError:
        # kube-proxy rejects connections to a Service without ready endpoints.
        named = host.endswith(".svc.cluster.local.") or not host.replace(".", "").isdigit()
        words = "no ready endpoints, or no such port" if named else "connection refused"
        raise Refused(503 if named else 502, f"{host.rstrip('.')}:{port}: {words}") from None
    except (TimeoutError, OSError) as error:
        raise Refused(502, f"{host.rstrip('.')}:{port} does not answer: {error or 'timed out'}") from None


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(HEAD_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client: one request, or one tunnel."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *head = raw[:-4].split(b"\r\n")
        namespace = namespace_of(head, os.environ.get("TOKEN", ""))
        host, port, line = route(first.decode("latin-1"), namespace)
        inward, outward = await connect(host, port)
        if line:
            kept = [part for part in head if not part.lower().startswith(_DROPPED)]
            outward.write(line + b"".join(part + b"\r\n" for part in kept) + b"Connection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, outward), _answer(inward, writer))
        outward.close()
    except Refused as refused:
        body = refused.words.encode() + b"\n"
        ask = b'Proxy-Authenticate: Basic realm="lab"\r\n' if refused.status == 407 else b""
        status = f"HTTP/1.1 {refused.status} {_WORDS[refused.status]}\r\n".encode()
        size = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n".encode()
        writer.write(status + size + ask + b"Connection: close\r\n\r\n" + body)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass
    finally:
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


async def _answer(inward: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass the answer on, and then hang up: the client may keep its half open."""
    await pump(inward, writer)
    writer.close()


async def main() -> None:
    """Serve for ever."""
    port = int(os.environ.get("PORT", "30999"))
    server = await asyncio.start_server(serve, "0.0.0.0", port, limit=HEAD_BYTES)
    print(f"proxy on port {port}", file=sys.stderr, flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
