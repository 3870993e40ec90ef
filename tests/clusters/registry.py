"""A registry that serves one image from files: what `docker pull` asks of Docker's own, and no more."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from lab_helpers.clusters.nodeimage.archive import Image


@contextlib.contextmanager
def serving(image: Image, arch: str) -> Iterator[tuple[str, str]]:
    """(address, digest of the manifest) of a registry on a port of this machine."""
    config = image.config(arch)
    kinds = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"
    blobs: dict[str, bytes | Path] = {_digest(config): config}
    blobs |= {f"sha256:{layer.digest}": layer.path for layer in image.layers}
    layers = [{"mediaType": kinds[1], "digest": f"sha256:{x.digest}", "size": x.path.stat().st_size} for x in image.layers]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": kinds[0], "digest": _digest(config), "size": len(config)},
            "layers": layers,
        }
    ).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                self._send(b"{}", "application/json")
            elif "/manifests/" in self.path and name == _digest(manifest):
                self._send(manifest, "application/vnd.docker.distribution.manifest.v2+json")
            elif "/blobs/" in self.path and name in blobs:
                self._send(blobs[name], "application/octet-stream")
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def _send(self, content: bytes | Path, kind: str) -> None:
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            if "/manifests/" in self.path:
                self.send_header("Docker-Content-Digest", _digest(manifest))
            self.end_headers()
            if self.command == "HEAD":
                return
            if isinstance(content, bytes):
                self.wfile.write(content)
            else:
                with content.open("rb") as file:
                    shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", _digest(manifest)
    finally:
        server.shutdown()
        server.server_close()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
