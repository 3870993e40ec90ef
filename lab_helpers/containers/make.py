"""Images made without the learner's own functions: for checks that try them on images they have not seen, and for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab_helpers.containers.base import PLATFORM
from lab_helpers.containers.docker import LABELS

_OCI = "application/vnd.oci.image"


def tar_of(files: Mapping[str, bytes | Path]) -> bytes:
    """A layer: path in the image → content, or a file here. The same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(files):
            content = files[path]
            data = content if isinstance(content, bytes) else content.read_bytes()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def write_image(
    folder: Path, layers: Sequence[bytes], command: Sequence[str] = ("true",), env: Sequence[str] = (), workdir: str = "/"
) -> Path:
    """Write an image as an OCI layout; its folder."""
    start = {"Env": list(env), "Cmd": list(command), "WorkingDir": workdir, "Labels": LABELS}
    rootfs = {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]}
    config = _blob(folder, _json({**PLATFORM, "config": start, "rootfs": rootfs}), "config.v1+json")
    packed = [_blob(folder, gzip.compress(layer, 1, mtime=0), "layer.v1.tar+gzip") for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json", "config": config, "layers": packed}
    entry = _blob(folder, _json(manifest), "manifest.v1+json")
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return folder


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(table: Any) -> bytes:
    return json.dumps(table).encode()


def _blob(folder: Path, data: bytes, kind: str) -> dict[str, Any]:
    path = folder / "blobs" / _digest(data).replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": f"{_OCI}.{kind}", "digest": _digest(data), "size": len(data)}
