"""An image as an OCI layout: a folder with index.json and blobs that are named by their content.

Source: OCI image specification 1.1 (image-layout.md, manifest.md, config.md, layer.md).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_helpers.errors import LabError

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """One image of a layout.

    Attributes:
        folder: the layout.
        digest: of the manifest: the image's own.
        manifest, config: as written.
        blobs: digest → size in bytes of all that a node keeps of it: manifest, config, layers.
        layers: the layers' descriptors, the lowest first.
    """

    folder: Path
    digest: str
    manifest: Descriptor
    config: Descriptor
    blobs: dict[str, int]
    layers: tuple[Descriptor, ...]

    def row(self, name: str = "") -> dict[str, Any]:
        """What a picture of layers needs: name, layers with digest, size and title."""
        titles = [entry.get("annotations", {}).get("org.opencontainers.image.title", "") for entry in self.layers]
        layers = [
            {"digest": entry["digest"], "size": entry["size"], "title": title}
            for entry, title in zip(self.layers, titles, strict=True)
        ]
        return {"name": name or self.folder.name, "layers": layers}


def read(folder: str | Path, thorough: bool = True) -> Image:
    """Read a layout's one image and check every digest and size in it, as whoever pulls it does.

    Args:
        thorough: check the layers too.

    Raises:
        LabError: something is missing or not what its name says; the error names it.
    """
    place = Path(folder)
    index = _json(_file(place / "index.json", place).read_bytes(), "index.json")
    if not _file(place / "oci-layout", place).read_text().strip().startswith("{"):
        raise LabError(f"{place}/oci-layout holds no JSON.", next_step='{"imageLayoutVersion": "1.0.0"}')
    entries = index.get("manifests") or []
    if len(entries) != 1:
        raise LabError(f"{place}/index.json names {len(entries)} manifests.", next_step="this lab has one image in a layout")
    try:
        manifest = _json(_blob(place, entries[0], "the manifest"), "the manifest")
        config = _json(_blob(place, manifest["config"], "the config"), "the config")
        layers = tuple(manifest["layers"])
        diff_ids = config["rootfs"]["diff_ids"]
        if len(diff_ids) != len(layers):
            raise LabError(f"The config knows {len(diff_ids)} layers, the manifest {len(layers)}.", str(place))
        for layer, diff_id in zip(layers, diff_ids, strict=True) if thorough else ():
            _check_layer(place, layer, diff_id)
        blobs = {entry["digest"]: int(entry["size"]) for entry in (entries[0], manifest["config"], *layers)}
    except (KeyError, TypeError) as error:
        raise LabError(f"{place} lacks a key that an image must have.", f"{type(error).__name__}: {error}") from None
    return Image(place, entries[0]["digest"], manifest, config, blobs, layers)


def _file(path: Path, layout: Path) -> Path:
    if not path.is_file():
        raise LabError(f"{layout} is no image layout.", f"there is no {path.relative_to(layout)}", "run the cells that make it")
    return path


def _json(data: bytes, what: str) -> Descriptor:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise LabError(f"{what[0].upper()}{what[1:]} is no JSON.", str(error)) from None
    return found if isinstance(found, dict) else {}


def _blob(place: Path, entry: Descriptor, what: str) -> bytes:
    kind, _, name = str(entry["digest"]).partition(":")
    data = _file(place / "blobs" / kind / name, place).read_bytes()
    real = hashlib.sha256(data).hexdigest()
    if real != name:
        raise LabError(f"{what[0].upper()}{what[1:]} is not what its name says.", f"name {name[:12]}…, content {real[:12]}…")
    if len(data) != entry["size"]:
        raise LabError(f"{what[0].upper()}{what[1:]} has {len(data)} bytes.", f"its descriptor says {entry['size']}")
    return data


_checked: set[tuple[str, str]] = set()


def _check_layer(place: Path, layer: Descriptor, diff_id: str) -> None:
    data = _blob(place, layer, "a layer")
    if (layer["digest"], diff_id) in _checked:
        return  # the same bytes under the same names: unpacking them again would show the same
    real = f"sha256:{hashlib.sha256(_plain(data, layer)).hexdigest()}"
    if real != diff_id:
        words = f"the config says {diff_id[:19]}…, unpacked it is {real[:19]}…"
        raise LabError("A diff_id of the config is not that of its layer.", words, "a diff_id is taken before compressing")
    _checked.add((layer["digest"], diff_id))


def _plain(data: bytes, layer: Descriptor) -> bytes:
    return gzip.decompress(data) if str(layer["mediaType"]).endswith("gzip") else data


def unpack(image: Image, target: Path) -> Path:
    """Lay the layers on top of each other in a folder: what a container sees as its root.

    A file `.wh.NAME` in a layer takes NAME away that a lower one brought.

    Raises:
        LabError: a layer would write outside of the folder.
    """
    target.mkdir(parents=True, exist_ok=True)
    for layer in image.layers:
        data = _plain(_blob(image.folder, layer, "a layer"), layer)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                _lay(tar, entry, target)
    return target


def _lay(tar: tarfile.TarFile, entry: tarfile.TarInfo, root: Path) -> None:
    """Lay one entry of a layer; owners, times and devices are left out: they need root."""
    path = root / entry.name.lstrip("/")
    if ".." in path.parts or not path.parent.resolve().is_relative_to(root.resolve()):
        raise LabError(f"A layer would write outside of the container: {entry.name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.startswith(".wh."):
        _remove(path.with_name(path.name.removeprefix(".wh.")))
    elif entry.isdir():
        path.mkdir(exist_ok=True)
    elif entry.issym():
        _remove(path)
        path.symlink_to(entry.linkname)
    elif content := tar.extractfile(entry):  # a file, or a second name of one
        _remove(path)
        path.write_bytes(content.read())
        path.chmod(entry.mode | 0o600)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def archive(image: Image, tag: str) -> bytes:
    """The layout as one tar that `docker load` takes: newer engines read the layout, older ones the list beside it."""
    config = image.manifest["config"]["digest"]
    listed = {
        "Config": _path(config),
        "RepoTags": [tag],
        "Layers": [_path(layer["digest"]) for layer in image.layers],
    }
    index = _json((image.folder / "index.json").read_bytes(), "index.json")
    name = {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    index["manifests"][0] = {**index["manifests"][0], "annotations": name}
    files = {
        "oci-layout": (image.folder / "oci-layout").read_bytes(),
        "index.json": json.dumps(index).encode(),
        "manifest.json": json.dumps([listed]).encode(),
        **{_path(digest): (image.folder / _path(digest)).read_bytes() for digest in image.blobs},
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
