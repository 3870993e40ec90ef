"""What a node image is made of: programs, the images Kubernetes itself runs, the course's images, the node's own files."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab_helpers import processes, toolchain
from lab_helpers.clusters import images
from lab_helpers.clusters.nodeimage import archive, debian
from lab_helpers.clusters.nodeimage.archive import Entry, Image, Layer
from lab_helpers.errors import ClusterError
from lab_helpers.toolchain import catalog

FILES = Path(__file__).parent / "files"
PAUSE = "registry.k8s.io/pause:3.10"  # kind's containerd configuration names it
HELPER = "docker.io/library/local-path-helper:1.0"

_NODE = ("kubeadm", "kubelet", "kubectl")
_RUNTIME = ("containerd", "containerd-shim-runc-v2", "ctr")
_CNI = ("host-local", "loopback", "portmap", "ptp")
_UNITS = ("containerd", "kubelet", "lab-cni", "undo-mount-hacks")
_K8S = f"v{catalog.KUBERNETES.version}"

# Image → the one program in it. Names and tags are kubeadm's own for this version of Kubernetes.
_SYSTEM = {
    f"registry.k8s.io/kube-apiserver:{_K8S}": "kube-apiserver",
    f"registry.k8s.io/kube-controller-manager:{_K8S}": "kube-controller-manager",
    f"registry.k8s.io/kube-scheduler:{_K8S}": "kube-scheduler",
    f"registry.k8s.io/kube-proxy:{_K8S}": "kube-proxy",
    f"registry.k8s.io/etcd:{toolchain.version('etcd')}-0": "etcd",
    f"registry.k8s.io/coredns/coredns:v{toolchain.version('coredns')}": "coredns",
    f"registry.k8s.io/metrics-server/metrics-server:v{toolchain.version('metrics-server')}": "metrics-server",
    f"docker.io/rancher/local-path-provisioner:v{toolchain.version('local-path-provisioner')}": "local-path-provisioner",
}

PROGRAMS = (*_NODE, *_RUNTIME, *_CNI, *_SYSTEM.values())
"""Every program of the toolchain that the image built offline has inside."""


def key(course_only: bool = False) -> str:
    """What the image is made of: programs, packages, files, the course's images and the code that puts them together.

    Args:
        course_only: for the official image, to which only the course's images are added.
    """
    made = hashlib.sha256()
    for part in (debian.PODS.key, *(one.reference + one.program + repr(dict(one.env)) for one in images.IMAGES.values())):
        made.update(part.encode())
    for path in sorted(images.PROGRAMS_FOLDER.glob("*.py")):
        made.update(path.read_bytes())
    if not course_only:
        for program in PROGRAMS:
            made.update(catalog.PROGRAMS[program].key.encode())
        made.update(catalog.KIND.version.encode() + debian.NODE.key.encode())
        for path in sorted(FILES.iterdir()):
            made.update(path.read_bytes())
    for name in ("archive.py", "parts.py"):
        made.update((Path(__file__).parent / name).read_bytes())
    return made.hexdigest()[:12]


def system_images(programs: dict[str, Path], pods: Layer, folder: Path) -> Iterator[Image]:
    """The images that kubeadm, kind and metrics-server's manifest name, each with one program.

    Args:
        programs: where the programs are.
        pods: the file system below kube-proxy (it calls iptables) and the volume helper.
        folder: for the layers.
    """
    bare = [Entry("etc/passwd", b"root:x:0:0:root:/:/sbin/nologin\n"), Entry("tmp", mode=0o1777)]
    for reference, name in _SYSTEM.items():
        below = (pods,) if name == "kube-proxy" else ()
        files = [Entry(f"usr/local/bin/{name}", programs[name], 0o755), *(() if below else bare)]
        yield Image(reference, (*below, archive.layer(folder / f"{name}.tar", files)), (f"/usr/local/bin/{name}",))
    with tarfile.open(pods.path) as tar:  # static: it needs nothing else
        member = tar.extractfile("./usr/bin/busybox")
        busybox = member.read() if member else b""
    sleeper = archive.layer(folder / "pause.tar", [Entry("bin/busybox", busybox, 0o755), *bare])
    yield Image(PAUSE, (sleeper,), ("/bin/busybox", "sleep", "infinity"))
    yield Image(HELPER, (pods,), ("/bin/sh",))


def course_images(pods: Layer, folder: Path) -> Iterator[Image]:
    """The course's own images: one file system, one layer with all programs, and what differs is the configuration."""
    sources = sorted(images.PROGRAMS_FOLDER.glob("*.py"))
    programs = archive.layer(folder / "programs.tar", [Entry(f"programs/{path.name}", path) for path in sources])
    for one in images.IMAGES.values():
        env = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **one.env}
        yield Image(one.reference, (pods, programs), ("python3", f"/programs/{one.program}.py"), env, user="1000")


def node_layer(programs: dict[str, Path], kind: Path, local_path: Path, folder: Path) -> Layer:
    """What stands on Debian in the node image: kind's own files, the programs, the network's unit.

    Args:
        programs: where the programs are.
        kind: the files of kind's own image.
        local_path: the folder with local-path-provisioner's manifests.
    """
    entries = [*_kinds_files(kind)]
    for names, place in ((_NODE, "usr/bin"), (_RUNTIME, "usr/local/bin"), (_CNI, "opt/cni/bin")):
        entries += [Entry(f"{place}/{name}", programs[name], 0o755) for name in names]
    entries += [
        Entry("kind/bin/lab-cni", FILES / "lab-cni", 0o755),
        Entry("etc/systemd/system/lab-cni.service", FILES / "lab-cni.service"),
        *(Entry(f"etc/systemd/system/multi-user.target.wants/{u}.service", link=f"../{u}.service") for u in _UNITS),
        Entry("etc/systemd/system/systemd-binfmt.service", link="/dev/null"),  # it would act on the whole machine's kernel
        Entry("etc/systemd/journald.conf.d/lab.conf", b"[Journal]\nReadKMsg=no\n"),
        Entry("etc/containerd/cri-base.json", _base_spec(programs["ctr"])),
        Entry("etc/kubernetes/manifests", mode=0o755),
        Entry("etc/cni/net.d", mode=0o755),
        Entry("kind/version", _K8S.encode()),
        Entry("kind/manifests/default-cni.yaml", FILES / "default-cni.yaml"),
        Entry("kind/manifests/default-storage.yaml", _storage(local_path).encode()),
    ]
    return archive.layer(folder / "node.tar", entries)


def _kinds_files(files: Path) -> Iterable[Entry]:
    left_out = {"LICENSES", "usr/local/bin/clean-install", "etc/crictl.yaml"}
    for path in sorted(files.rglob("*")):
        name = str(path.relative_to(files))
        if path.is_file() and name.split("/")[0] not in left_out and name not in left_out:
            runs = name.startswith(("kind/bin/", "usr/local/bin/"))
            yield Entry(name, path, 0o755 if runs else 0o644)


def _base_spec(ctr: Path) -> bytes:
    """What containerd starts every container from, as kind makes it: its hook, and no limits that only the host may raise."""
    spec = json.loads(processes.run([ctr, "oci", "spec"]))
    hooks = spec.setdefault("hooks", {}).setdefault("createContainer", [])
    hooks.append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    return json.dumps(spec).encode()


def _storage(local_path: Path) -> str:
    """The storage class that kind installs: upstream's manifest with kind's names, and a helper that is in the image."""
    text = (local_path / "local-path-storage.yaml").read_text()
    name = next(image for image, program in _SYSTEM.items() if program == "local-path-provisioner")
    changes = {
        "/opt/local-path-provisioner": "/var/local-path-provisioner",
        f"image: {name.removeprefix('docker.io/')}": f"image: {name}",
        "image: busybox": f"image: {HELPER}",
        "kind: StorageClass\nmetadata:\n  name: local-path\n": "kind: StorageClass\nmetadata:\n  name: standard\n"
        '  annotations:\n    storageclass.kubernetes.io/is-default-class: "true"\n',
        "      serviceAccountName: local-path-provisioner-service-account\n": "      serviceAccountName: "
        "local-path-provisioner-service-account\n      tolerations:\n        - operator: Exists\n",
    }
    for old, new in changes.items():
        if old not in text:
            raise ClusterError("local-path-provisioner's manifest is not what the lab knows.", old, "lab doctor")
        text = text.replace(old, new)
    return text
