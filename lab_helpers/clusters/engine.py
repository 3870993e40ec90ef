"""The Docker engine, through its own command line: looked at, asked to do things, and cleaned of what is the lab's.

The user's settings hold (DOCKER_HOST, contexts, a rootless engine): no setting is changed, and only what carries the
lab's label is ever removed.
"""

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
from lab_helpers.settings import Settings, writable

LABEL = "io.eks-lab=1"
"""On every container, image, network and volume that the lab makes."""

OLDEST = 20  # Docker's major version that kind 0.33 needs

_EMBEDDED = "or use simulated nodes: export LAB_PROVIDER=embedded"
# What the engine or its client says → what failed, what to do about it.
_REMEDIES = (
    (
        r"permission denied",
        "Docker runs, and you may not use it.",
        f"sudo usermod -aG docker $USER, then log in again; {_EMBEDDED}",
    ),
    (
        r"[Cc]annot connect|[Ii]s the docker daemon running|connection refused|no such file|error during connect",
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

    @property
    def here(self) -> bool:
        """Whether it shares this machine's kernel and disks, as far as can be told from here."""
        return self.root.is_dir() or (not self.rootless and Path("/proc/sys/kernel/osrelease").exists() and _local())


def info(timeout: float = 2) -> Info | None:
    """The engine that answers within `timeout` seconds, or None; `why_not` says more."""
    found = _look(timeout)
    return found if isinstance(found, Info) else None


def why_not(timeout: float = 2) -> ClusterError | None:
    """Why there is no engine that the lab could use, with what to type; None where there is one."""
    found = _look(timeout)
    return found if isinstance(found, ClusterError) else None


def required(timeout: float = 10) -> Info:
    """The engine.

    Raises:
        ClusterError: there is none that the lab could use; it says why and what to type.
    """
    found = _look(timeout)
    if isinstance(found, ClusterError):
        raise found
    return found


def _look(timeout: float) -> Info | ClusterError:
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
        return _error("docker info", "\n".join([done.stderr, *(said.get("ServerErrors") or [])]))
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


def _local() -> bool:
    host = os.environ.get("DOCKER_HOST", "")
    return not host or host.startswith("unix://")


def environment(labelling: Settings | None = None) -> dict[str, str]:
    """The environment of the docker command: the user's own, but for a foreign platform, which no image of ours has.

    Args:
        labelling: where given, `docker run` puts the lab's label on each container: for kind, which has no option for it.
    """
    env = {key: value for key, value in os.environ.items() if key != "DOCKER_DEFAULT_PLATFORM"}
    real = shutil.which("docker")
    if labelling and real:
        folder = writable(labelling.data / "engine")
        if Path(real).parent == folder:
            return env
        wrapper = f'#!/bin/sh\ncase $1 in run) shift; exec "{real}" run --label {LABEL} "$@";; esac\nexec "{real}" "$@"\n'
        new = folder / f".docker-{os.getpid()}"
        new.write_text(wrapper)
        new.chmod(0o755)
        new.replace(folder / "docker")
        env["PATH"] = f"{folder}{os.pathsep}{env.get('PATH', '')}"
    return env


def docker(*words: object, input: str | None = None, stdin: Path | None = None, timeout: float = 60) -> str:
    """Run `docker WORDS…` to its end; its standard output without the last line's end.

    Args:
        input: text for its standard input.
        stdin: a file for its standard input, instead.

    Raises:
        ClusterError: it failed or took longer than `timeout` seconds; the error says what to type.
    """
    command = ["docker", *(str(word) for word in words)]
    what = " ".join(command[:3])
    source = stdin.open("rb") if stdin else None
    try:
        done = subprocess.run(
            command,
            input=input.encode() if input is not None else None,
            stdin=(source or subprocess.DEVNULL) if input is None else None,
            capture_output=True,
            timeout=timeout,
            env=environment(),
        )
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"{what} did not end within {timeout:.0f} s.", _text(late.stderr)[-800:], "lab doctor") from None
    except OSError as error:
        raise why_not() or ClusterError(f"{what} could not be run.", error.strerror or "", "lab doctor") from None
    finally:
        if source:
            source.close()
    if done.returncode != 0:
        raise _error(what, _text(done.stderr) or _text(done.stdout))
    return _text(done.stdout).rstrip("\n")


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def _error(what: str, said: str) -> ClusterError:
    seen = said.strip()[-1500:]
    for words, headline, remedy in _REMEDIES:
        if re.search(words, said):
            return ClusterError(headline, seen, remedy)
    return ClusterError(f"{what} failed.", seen, "lab doctor")


def run(image: str, *command: object, options: tuple[object, ...] = (), timeout: float = 120) -> str:
    """Run a container of the lab: `docker run --label … OPTIONS IMAGE COMMAND`; what docker prints."""
    return docker("run", "--label", LABEL, *options, image, *command, timeout=timeout)


def exec(container: str, *command: object, input: str | None = None, stdin: Path | None = None, timeout: float = 60) -> str:
    """Run a command in a container; its standard output."""
    flags = ["-i"] if input is not None or stdin else []
    return docker("exec", *flags, container, *command, input=input, stdin=stdin, timeout=timeout)


def listed(what: str, *filters: str) -> list[str]:
    """Ids of the lab's containers, networks, volumes or images (`container`, `network`, …), further filtered."""
    flags = [word for one in (f"label={LABEL}", *filters) for word in ("--filter", one)]
    every = ["--all"] if what == "container" else []
    return list(dict.fromkeys(docker(what, "ls", "--quiet", *every, *flags).split()))


def exists(what: str, name: str) -> bool:
    """Whether the engine has an image, container, network or volume of that name."""
    try:
        docker(what, "inspect", "--format", "{{json .}}", name)
        return True
    except ClusterError as error:
        if re.search(r"[Nn]o such|not found", error.seen):
            return False
        raise


def clean(*, images: bool = False) -> dict[str, int]:
    """Remove everything that carries the lab's label; how many of each kind went.

    Args:
        images: also the images; a cluster that is made later needs them again.

    Raises:
        ClusterError: the engine refused.
    """
    gone = {}
    steps = {"container": ("rm", "--force", "--volumes"), "network": ("rm",), "volume": ("rm", "--force")}
    if images:
        steps["image"] = ("rm", "--force")
    for what, words in steps.items():
        found = listed(what)
        if found:
            docker(what, *words, *found, timeout=180)
        gone[what] = len(found)
    if not images:  # what rebuilt images left without a name
        docker("image", "prune", "--force", "--filter", f"label={LABEL}", timeout=180)
    return gone
