"""Whether a Docker engine is there that the lab can use, and what its errors mean: the half of `engine` that looks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_helpers.errors import ClusterError

OLDEST = 20  # Docker's major version that kind 0.33 needs

_EMBEDDED = "or use simulated nodes: export LAB_PROVIDER=embedded"
# What the engine or its client says → what failed, what to do about it.
_REMEDIES = (
    (
        r"permission denied while trying to connect|dial unix .*permission denied|connect: permission denied",
        "Docker runs, and you may not use it.",
        f"sudo usermod -aG docker $USER, then log in again; {_EMBEDDED}",
    ),
    (
        r"[Cc]annot connect to the Docker|[Ii]s the docker daemon running|error during connect|dial (unix|tcp) ",
        "Docker is installed, and does not run.",
        f"start it (sudo systemctl start docker, or Docker Desktop); {_EMBEDDED}",
    ),
    (r"client version .* is too (old|new)", "Docker's client and engine do not fit together.", f"update Docker; {_EMBEDDED}"),
    (r"no space left", "The engine's disk is full.", "lab clean, or free some disk where the engine keeps its images"),
    (r"[Nn]o such (image|container|network|volume)", "The engine does not have it.", "lab doctor"),
    (r"port is already allocated|address already in use", "A port is taken by another program.", "lab doctor"),
)


@dataclass(frozen=True)
class Info:
    """An engine that answers.

    Attributes:
        version: its own, for instance 28.2.2.
        cgroup: version of the control groups that its containers get: 1 or 2.
        cgroup_driver: cgroupfs or systemd.
        rootless: whether it runs without root.
        memory: bytes that it has; on Docker Desktop those of its virtual machine.
        cpus: as many.
        root: where it keeps images and containers, as the engine sees it.
        storage: its storage driver.
        system: the operating system that it names.
        arch: in Go's words: amd64, arm64.
        id: tells this engine from another.
    """

    version: str
    cgroup: int
    cgroup_driver: str
    rootless: bool
    memory: int
    cpus: int
    root: Path
    storage: str
    system: str
    arch: str
    id: str


def look(timeout: float) -> Info | ClusterError:
    """The engine, or why there is none."""
    if not shutil.which("docker"):
        seen = "podman is there, which the lab does not use" if shutil.which("podman") else "no docker on PATH"
        return ClusterError(
            "Docker is not installed.", seen, f"install it (https://docs.docker.com/engine/install); {_EMBEDDED}"
        )
    try:
        done = subprocess.run(
            ["docker", "info", "--format", "{{json .}}"],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        return ClusterError(
            "Docker does not answer.", f"docker info: nothing within {timeout:.0f} s", f"lab doctor; {_EMBEDDED}"
        )
    except OSError as error:
        return ClusterError("Docker could not be run.", error.strerror or "", "lab doctor")
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = {}
    if _podman(said):
        return ClusterError("The docker command here talks to Podman.", "", f"the lab needs Docker itself; {_EMBEDDED}")
    if not said.get("ServerVersion"):  # the client prints its own half, whatever becomes of the engine's
        return failure("docker info", "\n".join([done.stderr, *(said.get("ServerErrors") or [])]))
    if (number := re.match(r"\d+", said["ServerVersion"])) and int(number[0]) < OLDEST:
        return ClusterError(f"Docker {said['ServerVersion']} is too old.", "", f"install {OLDEST}.10 or newer; {_EMBEDDED}")
    arch = str(said.get("Architecture", ""))
    return Info(
        version=said["ServerVersion"],
        cgroup=int(said.get("CgroupVersion") or 1),
        cgroup_driver=said.get("CgroupDriver", ""),
        rootless=any("rootless" in option for option in said.get("SecurityOptions") or []),
        memory=int(said.get("MemTotal", 0)),
        cpus=int(said.get("NCPU", 0)),
        root=Path(said.get("DockerRootDir", "/")),
        storage=said.get("Driver", ""),
        system=said.get("OperatingSystem", ""),
        arch={"x86_64": "amd64", "aarch64": "arm64"}.get(arch, arch),
        id=said.get("ID", ""),
    )


def _podman(said: dict[str, Any]) -> bool:
    # Its own command prints `host` and `store`; its imitation of Docker's interface gives itself away by the licence.
    return ("host" in said and "store" in said) or said.get("ProductLicense") == "Apache-2.0"


def environment() -> dict[str, str]:
    """The user's own environment, but for a foreign platform, which no image of ours has."""
    return {key: value for key, value in os.environ.items() if key != "DOCKER_DEFAULT_PLATFORM"}


def failure(what: str, said: str) -> ClusterError:
    """What a docker command said, as an error that says what to type."""
    seen = said.strip()[-1500:]
    for words, headline, remedy in _REMEDIES:
        if re.search(words, said):
            return ClusterError(headline, seen, remedy)
    return ClusterError(f"{what} failed.", seen, "lab doctor")
