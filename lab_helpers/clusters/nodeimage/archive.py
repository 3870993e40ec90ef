"""Container images written by hand: layers that are the same every time, and the archive that engines load.

The archive has both forms in one file, as `docker save` writes it since version 25: `manifest.json` for Docker and the OCI
layout (`oci-layout`, `index.json`, `blobs/sha256/…`) for containerd.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

LABELS = {"io.eks-lab": "1"}
_BLOBS = "blobs/sha256"


@dataclass(frozen=True)
class Entry:
    """One file of a layer.

    Attributes:
        path: in the image, without a leading slash.
        content: bytes, or the file that has them; None: a folder, or a link.
        mode: permissions.
        link: what a symbolic link points at.
    """

    path: str
    content: bytes | Path | None = None
    mode: int = 0o644
    link: str = ""


@dataclass(frozen=True)
class Layer:
    """A layer on disk: an uncompressed tar.

    Attributes:
        path: the tar.
        digest: its SHA-256 in hex.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class Image:
    """One image of an archive.

    Attributes:
        reference: its whole name, with host and tag.
        layers: from the bottom up.
        entrypoint: what it runs.
        env: its variables beside PATH.
        user: as whom; empty: root.
        stop_signal: what ends it; empty: SIGTERM.
    """

    reference: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = ""

    def config(self, arch: str) -> bytes:
        """The image's configuration."""
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **self.env}
        inside: dict[str, Any] = {
            "Entrypoint": list(self.entrypoint),
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "Labels": LABELS,
            "WorkingDir": "/",
        }
        if self.user:
            inside["User"] = self.user
        if self.stop_signal:
            inside["StopSignal"] = self.stop_signal
        moment = "1970-01-01T00:00:00Z"
        return _json(
            {
                "architecture": arch,
                "config": inside,
                "created": moment,
                "history": [{"created": moment, "created_by": "EKS Lab"} for _ in self.layers],
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
            }
        )


def layer(target: Path, entries: Iterable[Entry]) -> Layer:
    """Write a layer; the same entries give the same bytes. Folders above them are made on the way."""
    part = target.with_suffix(".part")
    seen: set[str] = set()
    with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(entries, key=lambda one: one.path):
            above = [str(parent) for parent in reversed(PurePosixPath(entry.path).parents) if str(parent) != "."]
            for folder in above:
                if folder not in seen:
                    seen.add(folder)
                    _add(tar, Entry(folder, mode=0o755))
            if entry.path not in seen:
                seen.add(entry.path)
                _add(tar, entry)
    part.replace(target)
    return existing(target)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime = entry.mode, 0
    if entry.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        tar.addfile(info)
    elif entry.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
    else:
        info.size = entry.content.stat().st_size
        with entry.content.open("rb") as file:
            tar.addfile(info, file)


def existing(path: Path) -> Layer:
    """A tar that is there already, as a layer."""
    with path.open("rb") as file:
        return Layer(path, hashlib.file_digest(file, "sha256").hexdigest())


def write(target: Path, images: Iterable[Image], arch: str) -> Path:
    """Write an archive of images; layers that several share stand in it once."""
    images = list(images)
    manifest, index, done = [], [], set()
    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:

        def blob(content: bytes) -> str:
            digest = hashlib.sha256(content).hexdigest()
            if digest not in done:
                done.add(digest)
                _add(tar, Entry(f"{_BLOBS}/{digest}", content))
            return digest

        for image in images:
            for one in image.layers:
                if one.digest not in done:
                    done.add(one.digest)
                    _add(tar, Entry(f"{_BLOBS}/{one.digest}", one.path))
            config = image.config(arch)
            oci = _oci(image, config)
            digest = blob(oci)
            layers = [f"{_BLOBS}/{one.digest}" for one in image.layers]
            manifest.append({"Config": f"{_BLOBS}/{blob(config)}", "RepoTags": [image.reference], "Layers": layers})
            index.append(
                {
                    **_descriptor("application/vnd.oci.image.manifest.v1+json", digest, len(oci)),
                    "annotations": {
                        "io.containerd.image.name": image.reference,
                        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
                    },
                    "platform": {"architecture": arch, "os": "linux"},
                }
            )
        top = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index}
        _add(tar, Entry("index.json", _json(top)))
        _add(tar, Entry("manifest.json", _json(manifest)))
        _add(tar, Entry("oci-layout", _json({"imageLayoutVersion": "1.0.0"})))
    part.replace(target)
    return target


def _oci(image: Image, config: bytes) -> bytes:
    kind = "application/vnd.oci.image.layer.v1.tar"
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", hashlib.sha256(config).hexdigest(), len(config)),
            "layers": [_descriptor(kind, one.digest, one.path.stat().st_size) for one in image.layers],
        }
    )


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
