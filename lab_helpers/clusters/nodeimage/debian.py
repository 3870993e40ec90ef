"""Root file systems from Debian's packages, by mmdebstrap: one for the nodes, one below the images that Pods run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab_helpers import processes
from lab_helpers.clusters.nodeimage.archive import Layer, existing
from lab_helpers.errors import ClusterError
from lab_helpers.settings import writable

SUITE = "trixie"  # its systemd 257 still boots where the host has version 1 of control groups; later ones refuse
_SECONDS = 1800

_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_TIDY = 'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*'


@dataclass(frozen=True)
class System:
    """A root file system.

    Attributes:
        name: what it is for, in a word.
        packages: Debian's, beside the essential ones.
        hooks: shell lines run at the end; `$1` is the root.
    """

    name: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...]

    @property
    def key(self) -> str:
        """Another key is another file system."""
        return hashlib.sha256(repr((SUITE, self, _LEFT_OUT, _TIDY)).encode()).hexdigest()[:12]

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / f"{self.name}-{SUITE}-{self.key}.tar"


# kind's own list of packages less what labs have no use for: network file systems and rootless overlays.
NODE = System(
    "node",
    (
        *("systemd", "dbus", "mount", "kmod", "util-linux", "e2fsprogs", "procps", "libseccomp2", "runc", "pigz"),
        *("iproute2", "iptables", "nftables", "conntrack", "ethtool", "socat", "ca-certificates", "curl", "jq"),
    ),
    (
        # Services that make no sense in a container; kind's Dockerfile removes the same.
        'rm -f "$1"/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service',
        'rm -f "$1"/usr/lib/systemd/system/multi-user.target.wants/* "$1"/etc/systemd/system/*.wants/*',
        'rm -f "$1"/usr/lib/systemd/system/local-fs.target.wants/* "$1"/usr/lib/systemd/system/basic.target.wants/*',
        'rm -f "$1"/usr/lib/systemd/system/sockets.target.wants/*udev*',
        'rm -f "$1"/usr/lib/systemd/system/sockets.target.wants/*initctl*',
        'ln -sf /usr/lib/systemd/systemd "$1"/usr/sbin/init',
        'rm -f "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id',
        _TIDY,
    ),
)

# Below the course's images, and kube-proxy's, which calls iptables.
PODS = System(
    "pods",
    (
        *("python3", "curl", "wget", "bind9-dnsutils", "procps", "iproute2", "netcat-openbsd", "busybox-static"),
        *("iptables", "nftables", "conntrack"),
    ),
    (
        # The user of the course's images: Pods of a restricted namespace may not be root.
        'echo "app:x:1000:1000::/tmp:/bin/sh" >>"$1"/etc/passwd; echo "app:x:1000:" >>"$1"/etc/group',
        'find "$1"/usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +',
        _TIDY,
    ),
)


def make(system: System, folder: Path) -> Layer:
    """The file system as a layer; made only once for each key.

    Raises:
        ClusterError: mmdebstrap is missing, or could not fetch or install the packages.
    """
    target = system.file(writable(folder))
    if target.is_file():
        return existing(target)
    required()
    part = target.with_suffix(".part.tar")  # mmdebstrap goes by the name's end
    home = folder / f"{system.name}.tmp"
    home.mkdir(exist_ok=True)
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    hooks = [f"--customize-hook={line}" for line in system.hooks]
    command = [
        *("nice", "mmdebstrap", "--variant=minbase", "--components=main", f"--include={','.join(system.packages)}"),
        *("--dpkgopt=force-unsafe-io", *excluded, *hooks, SUITE, str(part)),
    ]
    log = folder / f"{system.name}.log"
    try:
        with log.open("w") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=_SECONDS,
                env={**os.environ, "TMPDIR": str(home)},
            )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"mmdebstrap did not end within {_SECONDS} s.", processes.tail(log), "lab setup kind") from None
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if done.returncode != 0:
        part.unlink(missing_ok=True)
        remedy = "connect this machine to the network (packages come from Debian's archive), then: lab setup kind"
        raise ClusterError("Debian's packages for the node image could not be fetched.", processes.tail(log), remedy)
    part.replace(target)
    for old in folder.glob(f"{system.name}-*.tar"):
        if old != target:
            old.unlink()
    return existing(target)


def required() -> None:
    """Raise ClusterError where this machine has no mmdebstrap."""
    if not shutil.which("mmdebstrap"):
        raise ClusterError(
            "The node image cannot be pulled here, and cannot be built either: mmdebstrap is missing.",
            "no mmdebstrap on PATH",
            "sudo apt install mmdebstrap (Debian, Ubuntu), or connect this machine to the network; then: lab setup kind",
        )
