"""The node image built on this machine: Debian's packages, pinned programs, and the images inside, loaded beforehand."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab_helpers import processes, toolchain
from lab_helpers.clusters import engine
from lab_helpers.clusters.nodeimage import archive, debian, parts
from lab_helpers.clusters.nodeimage.archive import Image, Layer
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import catalog, modules
from lab_helpers.toolchain.setup_status import SetupStatus

Say = Callable[[str], None]
Show = Callable[[SetupStatus], None]

ENTRYPOINT = ("/usr/local/bin/entrypoint", "/sbin/init")
STOP_SIGNAL = "SIGRTMIN+3"  # systemd ends on it
_BASE = "lab.local/node-base"
_GIGABYTES = 4  # what the engine's disk needs for a while: base, container and image
_CACHE_GIGABYTES = 2  # what the cache's disk needs for a while: file systems, layers, archives
_READY_SECONDS = 60


def folder(settings: Settings) -> Path:
    """Where file systems and layers are kept."""
    return settings.cache / "node-image"


def build(settings: Settings, reference: str, say: Say, show: Show | None = None) -> None:
    """Build the image and give it this name. What is there already of an earlier try is taken as it is.

    Raises:
        ClusterError, ProgramError: something is missing; the error says what to type.
    """
    info = engine.required()
    check_machine(info)
    debian.required()
    check_disk(settings, info)
    programs = toolchain.ensure(parts.PROGRAMS, say=say, show=show)
    home = writable(folder(settings))
    pods = system(debian.PODS, home, say)
    node = system(debian.NODE, home, say)
    with step(say, "node image: sources of kind's own image and of the storage class"):
        kind = modules.files(catalog.KIND, "sigs.k8s.io/kind", "images/base/files")
        storage = modules.files(catalog.LOCAL_PATH, "github.com/rancher/local-path-provisioner", "deploy")
    with tempfile.TemporaryDirectory(dir=home, prefix="layers-") as temporary:
        place = Path(temporary)
        with step(say, "node image: Debian, kind's files, the programs"):
            layers = (node, parts.node_layer(programs, kind, storage, place))
            base = f"{_BASE}:{reference.rpartition(':')[2]}"
            image = Image(base, layers, ENTRYPOINT, {"container": "docker"}, stop_signal=STOP_SIGNAL)
            engine.docker("load", stdin=archive.write(place / "base.tar", [image], info.arch), timeout=300)
            (place / "base.tar").unlink()
        try:
            with step(say, "node image: the images that Kubernetes and the course run"):
                inside = [*parts.system_images(programs, pods, place), *parts.course_images(pods, place)]
                load(base, archive.write(place / "images.tar", inside, info.arch), reference)
        finally:
            engine.docker("image", "rm", "--force", base)


@contextlib.contextmanager
def step(say: Say, what: str) -> Iterator[None]:
    """Say what begins, and afterwards how long it took."""
    say(what)
    began = time.monotonic()
    yield
    if (took := time.monotonic() - began) > 1:
        say(f"{what}: {took:.0f} s")


def system(wanted: debian.System, home: Path, say: Say) -> Layer:
    """One of Debian's file systems, made now if it is not there."""
    if wanted.file(home).is_file():
        return debian.make(wanted, home)
    with step(say, f"Debian's packages for {wanted.name} (one or two minutes)"):
        return debian.make(wanted, home)


def load(base: str, images: Path, reference: str) -> None:
    """Put an archive of images into a node image's containerd store, the way kind does it; the result gets a name.

    containerd runs in a container of the image, imports, and the container becomes the new image.
    """
    name = f"lab-node-image-{reference.rpartition('-')[2]}"
    remove(name)
    engine.run(base, "infinity", options=("--detach", "--name", name, "--entrypoint", "sleep"))
    try:
        engine.docker("exec", "--detach", name, "containerd")

        def answers() -> bool:
            try:
                engine.exec(name, "ctr", "version", timeout=10)
                return True
            except ClusterError:
                return False

        processes.wait_until(answers, deadline=_READY_SECONDS, what="containerd in the node image")
        # Not unpacked: an overlay cannot stand on the engine's own. Pinned: the kubelet never clears them away.
        options = ("--label=io.cri-containerd.pinned=pinned", "--no-unpack", "--digests")
        engine.exec(name, "ctr", "-n", "k8s.io", "images", "import", *options, "-", stdin=images, timeout=600)
        engine.exec(name, "sh", "-c", "pkill containerd; while pgrep -x containerd >/dev/null; do sleep 0.1; done")
        words = ", ".join(f'"{word}"' for word in ENTRYPOINT)
        nobodys = ["--change", f"LABEL {engine.HOME}="]  # the container's; an image belongs to every lab of this user
        engine.docker("commit", "--change", f"ENTRYPOINT [{words}]", *nobodys, name, reference, timeout=300)
    finally:
        remove(name)


def remove(container: str) -> None:
    """Remove a container with its volumes; none is no error."""
    if engine.exists("container", container):
        engine.docker("rm", "--force", "--volumes", container)


def check_machine(info: engine.Info) -> None:
    """Raise ClusterError where what is made here would not run in the engine."""
    system, arch = catalog.machine()
    if system != "linux":
        raise ClusterError(
            "The node image cannot be pulled here, and can only be built on Linux.",
            f"this machine runs {system}",
            "connect this machine to the network, then: lab setup kind; or: export LAB_PROVIDER=embedded",
        )
    if info.arch != arch:
        raise ClusterError(
            "The node image cannot be built here: the Docker engine has another kind of processor.",
            f"this machine: {arch}; the engine: {info.arch}",
            "use an engine on this machine, or: export LAB_PROVIDER=embedded",
        )


def check_disk(settings: Settings, info: engine.Info) -> None:
    """Raise ClusterError where a disk has no room for the image: the cache's, or the engine's."""
    needs = {writable(settings.cache): _CACHE_GIGABYTES}
    if info.root.is_dir():  # otherwise in a virtual machine, or elsewhere: the engine itself will say so
        together = info.root.stat().st_dev == settings.cache.stat().st_dev
        needs[info.root] = _GIGABYTES + (_CACHE_GIGABYTES if together else 0)
    for place, need in needs.items():
        free = shutil.disk_usage(place).free / 1e9
        if free < need:
            raise ClusterError(
                f"The node image needs {need} GB of disk for a while.",
                f"{free:.1f} GB are free under {place}",
                "free some there, for instance images that you no longer need (docker system df); then: lab setup kind",
            )
