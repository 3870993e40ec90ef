"""The Docker engine, through its own command line: looked at, asked to do things, and cleaned of what is the lab's.

The user's settings hold (DOCKER_HOST, contexts, a rootless engine): no setting is changed, and only what carries the
lab's label is ever removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from lab_helpers import settings as settings_module
from lab_helpers.clusters import engine_info
from lab_helpers.clusters.engine_info import Info as Info
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable

LABEL = "io.eks-lab=1"
"""On every container, image, network and volume that the lab makes."""

HOME = "io.eks-lab.home"  # the label that says which data folder they belong to


def info(timeout: float = 2) -> Info | None:
    """The engine that answers within `timeout` seconds, or None; `why_not` says more."""
    found = engine_info.look(timeout)
    return found if isinstance(found, Info) else None


def why_not(timeout: float = 2) -> ClusterError | None:
    """Why there is no engine that the lab could use, with what to type; None where there is one."""
    found = engine_info.look(timeout)
    return found if isinstance(found, ClusterError) else None


def required(timeout: float = 10) -> Info:
    """The engine.

    Raises:
        ClusterError: there is none that the lab could use; it says why and what to type.
    """
    found = engine_info.look(timeout)
    if isinstance(found, ClusterError):
        raise found
    return found


def environment(labelling: Settings | None = None) -> dict[str, str]:
    """The environment of the docker command: the user's own, but for a foreign platform, which no image of ours has.

    Args:
        labelling: where given, `docker run` puts the lab's label on each container: for kind, which has no option for it.
    """
    env = engine_info.environment()
    real = shutil.which("docker")
    if labelling and real:
        folder = writable(labelling.data / "engine")
        if Path(real).parent == folder:
            return env
        ours = " ".join(labels(labelling.data))
        wrapper = f'#!/bin/sh\ncase $1 in run) shift; exec "{real}" run {ours} "$@";; esac\nexec "{real}" "$@"\n'
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
        raise engine_info.failure(what, _text(done.stderr) or _text(done.stdout))
    return _text(done.stdout).rstrip("\n")


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def labels(home: Path | None = None) -> list[str]:
    """Options that put the lab's labels on what is made: the lab's own, and whose lab it is.

    Args:
        home: the data folder it belongs to; default: the one of the settings. `lab clean` there removes it.
    """
    return ["--label", LABEL, "--label", f"{HOME}={owner(home)}"]


def owner(home: Path | None = None) -> str:
    """What HOME's label says: a short name of the data folder; default: the one of the settings."""
    folder = settings_module.load().data if home is None else home
    return hashlib.sha256(str(folder).encode()).hexdigest()[:12]


def run(image: str, *command: object, options: tuple[object, ...] = (), timeout: float = 120) -> str:
    """Run a container of the lab: `docker run --label … OPTIONS IMAGE COMMAND`; what docker prints."""
    return docker("run", *labels(), *options, image, *command, timeout=timeout)


def exec(container: str, *command: object, input: str | None = None, stdin: Path | None = None, timeout: float = 60) -> str:
    """Run a command in a container; its standard output."""
    flags = ["-i"] if input is not None or stdin else []
    return docker("exec", *flags, container, *command, input=input, stdin=stdin, timeout=timeout)


def listed(what: str, *filters: str) -> list[str]:
    """Ids of the lab's containers, networks, volumes or images (`container`, `network`, …), further filtered.

    Those of another data folder are not among them; images belong to all. LABEL alone says nothing about the rest: it is also
    on our images, and so on whatever somebody else makes of them.
    """
    flags = [word for one in (f"label={LABEL}", *filters) for word in ("--filter", one)]
    if what == "image":
        return list(dict.fromkeys(docker("image", "ls", "--quiet", "--all", *flags).split()))
    every = ["--all"] if what == "container" else []
    name = "{{.Name}}" if what == "volume" else "{{.ID}}"
    said = docker(what, "ls", *every, *flags, "--format", f'{name} {{{{.Label "{HOME}"}}}}')
    return [words[0] for line in said.splitlines() if (words := line.split()) and words[1:] == [owner()]]


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
    """Remove what this lab made, by its labels; how many of each kind went.

    Args:
        images: also the images; a cluster that is made later needs them again.

    Raises:
        ClusterError: the engine refused.
    """
    gone = {}
    for what, words in {"container": ("rm", "--force", "--volumes"), "network": ("rm",), "volume": ("rm", "--force")}.items():
        found = listed(what)
        if found:
            docker(what, *words, *found, timeout=180)
        gone[what] = len(found)
    if images:
        gone["image"] = _clean_images()
    else:  # what rebuilt images left without a name
        docker("image", "prune", "--force", "--filter", f"label={LABEL}", timeout=180)
    return gone


def _clean_images() -> int:
    """Remove the lab's images; one that others stand on goes only after them."""
    first = left = listed("image")
    while left:
        for image in left:
            with contextlib.suppress(ClusterError):
                docker("image", "rm", "--force", image, timeout=180)
        before, left = left, listed("image")
        if left == before:  # in use by a container that is not ours
            break
    return len(first) - len(left)
