"""The server's half of SPDY/3.1, which the API server speaks to a kubelet for exec and port-forward.

Streams over one connection; frames as in the SPDY protocol, draft 3.1 (control frames: kind, flags, length; headers
compressed with a fixed dictionary). Flow control is not needed: neither side of Kubernetes keeps it.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
_FIN = 1
_CHUNK = 32768

_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_NAMES = "version HTTP/1.1 url public set-cookie keep-alive origin"
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(
    struct.pack(">I", len(word)) + word.encode() for word in (*_NAMES.split(), "200 OK", *_MORE_NAMES.split())
)
DICTIONARY += _TEXT.encode()
"""The protocol's header dictionary: 1,423 bytes."""


class Stream:
    """One stream of a connection.

    Attributes:
        headers: those it was opened with, names in lower case.
    """

    def __init__(self, connection: Connection, number: int, headers: dict[str, str]) -> None:
        self.connection, self.number, self.headers = connection, number, headers
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        return await self.inbox.get()

    async def write(self, data: bytes, end: bool = False) -> None:
        """Send data, and with `end` close our half."""
        pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)] or [b""]
        for number, piece in enumerate(pieces, 1):
            last = end and number == len(pieces)
            if piece or last:
                await self.connection.send(struct.pack(">II", self.number, (_FIN if last else 0) << 24 | len(piece)) + piece)


class Connection:
    """A connection that was upgraded.

    Args:
        reader: where frames come from.
        writer: where they go.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._streams: dict[int, Stream] = {}
        self._inflate, self._deflate = zlib.decompressobj(zdict=DICTIONARY), zlib.compressobj(zdict=DICTIONARY)

    async def send(self, frame: bytes) -> None:
        """Send a frame; nothing where the other side is gone."""
        if not self.writer.is_closing():
            self.writer.write(frame)
            await self.writer.drain()

    async def _control(self, kind: int, payload: bytes) -> None:
        await self.send(struct.pack(">HHI", 0x8003, kind, len(payload)) + payload)

    async def serve(self, on_stream: Callable[[Stream], None]) -> None:
        """Read frames until the other side ends; `on_stream` is called with each new stream."""
        try:
            while await self._frame(on_stream):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in self._streams.values():
                stream.inbox.put_nowait(b"")

    async def _frame(self, on_stream: Callable[[Stream], None]) -> bool:
        head = await self._reader.readexactly(8)
        flags, size = head[4], int.from_bytes(head[5:8], "big")
        body = await self._reader.readexactly(size)
        if not head[0] & 0x80:
            stream = self._streams.get(int.from_bytes(head[:4], "big"))
            if stream and body:
                stream.inbox.put_nowait(body)
            if stream and flags & _FIN:
                stream.inbox.put_nowait(b"")
            return True
        kind = int.from_bytes(head[2:4], "big")
        if kind == SYN_STREAM:
            number = int.from_bytes(body[:4], "big")
            stream = self._streams[number] = Stream(self, number, _headers(self._inflate.decompress(body[10:])))
            none = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            await self._control(SYN_REPLY, struct.pack(">I", number) + none)
            if flags & _FIN:
                stream.inbox.put_nowait(b"")
            on_stream(stream)
        elif kind == RST_STREAM:
            if stream := self._streams.pop(int.from_bytes(body[:4], "big"), None):
                stream.inbox.put_nowait(b"")
        elif kind == PING:
            await self._control(PING, body)
        return kind != GOAWAY


def _headers(block: bytes) -> dict[str, str]:
    """Names and values of a header block: a count, then length and text of each."""
    texts, at = [], 4
    for _ in range(2 * struct.unpack(">I", block[:4])[0]):
        size = struct.unpack(">I", block[at : at + 4])[0]
        texts.append(block[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}
