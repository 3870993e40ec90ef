"""kind's official node image, by digest, where a registry can be reached; the course's images are added to it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lab_helpers.clusters import engine
from lab_helpers.clusters.nodeimage import archive, debian, offline, parts
from lab_helpers.clusters.nodeimage.archive import Layer, existing
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import download

Say = Callable[[str], None]

# The node image that kind 0.33.0 was released with for Kubernetes 1.36 (from its release notes).
NODE = "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
# Debian 13 for the course's images where this machine has no mmdebstrap; the packages are the same.
DEBIAN = "library/debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f"
VERSION = NODE.partition(":v")[2].partition("@")[0]
_REGISTRY = "https://registry-1.docker.io"
_PULL_SECONDS = 1200


def reachable(settings: Settings) -> bool:
    """Whether a registry answers within two seconds: Docker's, or the mirror that LAB_DOWNLOADS names."""
    if settings.downloads == "off":
        return False
    base = settings.downloads if settings.downloads.startswith("http") else _REGISTRY
    return download.status(f"{base.rstrip('/')}/v2/") in (200, 401)  # 401: log in first, as Docker's says to everybody


def _name(settings: Settings, image: str) -> str:
    """Where an image is pulled from: digest only, because a tag beside it decides nothing."""
    host = urlsplit(settings.downloads).netloc if settings.downloads.startswith("http") else "docker.io"
    repository, _, digest = image.partition("@")
    return f"{host}/{repository.partition(':')[0]}@{digest}"


def build(settings: Settings, reference: str, say: Say) -> None:
    """Pull the image and give it this name, with the course's images inside.

    Raises:
        ClusterError: it could not be pulled; the error carries the engine's words.
    """
    info = engine.required()
    offline.check_disk(settings, info)
    home = writable(offline.folder(settings))
    with tempfile.TemporaryDirectory(dir=home, prefix="layers-") as temporary:
        place = Path(temporary)
        name = _name(settings, NODE)
        with _pulled(name, say):
            pods = _pods(settings, home, say)
            say("node image: adding the course's images")
            images = archive.write(place / "images.tar", parts.course_images(pods, place), info.arch)
            offline.load(name, images, reference)


class _pulled:
    """An image that is there for a while: what was not here before is let go of afterwards."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say, self._new = name, say, False

    def __enter__(self) -> None:
        self._new = not engine.exists("image", self._name)
        if self._new:
            self._say(f"pulling {self._name.partition('@')[0]} (about 400 MB)")
            engine.docker("pull", "--quiet", self._name, timeout=_PULL_SECONDS)

    def __exit__(self, *error: object) -> None:
        if self._new and engine.exists("image", self._name):
            engine.docker("image", "rm", self._name)  # the lab's own image keeps the layers


def _pods(settings: Settings, home: Path, say: Say) -> Layer:
    """The file system below the course's images: by mmdebstrap, or in a container of Debian's image."""
    target = home / f"exported-{debian.PODS.key}.tar"  # its names differ: what is built here takes a file out of the other
    if target.is_file() and not debian.PODS.file(home).is_file():
        return existing(target)
    with contextlib.suppress(ClusterError):
        offline.check_machine(engine.required())
        debian.required()
        return offline.system(debian.PODS, home, say)
    say("Debian's packages for pods, in a container (a minute)")
    name, box = _name(settings, DEBIAN), "lab-node-image-pods"
    offline.remove(box)
    with _pulled(name, say):
        lines = [
            "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update -qq",
            f"apt-get install -y -qq --no-install-recommends {' '.join(debian.PODS.packages)} >/dev/null",
            "set -- ''",  # what the hooks call $1 is the root itself here
            *debian.PODS.hooks,
        ]
        try:
            engine.run(name, "sh", "-c", "\n".join(lines), options=("--name", box), timeout=_PULL_SECONDS)
            part = target.with_suffix(".part.tar")
            engine.docker("export", "--output", part, box, timeout=300)
            part.replace(target)
        finally:
            offline.remove(box)
    return existing(target)
