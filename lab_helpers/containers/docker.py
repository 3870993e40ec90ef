"""The Docker engine of this machine, as it is: every container and image of this lab's carries the lab's labels.

Only what carries both labels is ever removed. Nothing is pulled: images come from the lab's own layouts.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from lab_helpers.clusters import engine
from lab_helpers.containers.image import Image, archive
from lab_helpers.containers.registry import folder
from lab_helpers.errors import ClusterError, LabError
from lab_helpers.settings import writable

# The first is that of everything the lab makes; by the second this room knows its own from the nodes of a cluster.
LABELS = {"io.eks-lab": "1", "io.eks-lab.room": "containers"}
_OWN = f"label=io.eks-lab.room={LABELS['io.eks-lab.room']}"


def answer() -> tuple[str, str]:
    """The engine's version and platform (`linux/amd64`), or ("", why there is none)."""
    found = engine.info()
    if found:
        return found.version, f"linux/{found.arch}"
    why = engine.why_not()
    return "", why.headline if why else "it answered too late"


def load(image: Image, tag: str) -> bool:
    """Give the image to the engine under that tag; whether it was new to it.

    Raises:
        LabError: the image lacks the lab's labels, or the engine refused it.
    """
    labels = (image.config.get("config") or {}).get("Labels") or {}
    if any(labels.get(name) != value for name, value in LABELS.items()):
        raise LabError(
            "The image lacks the lab's labels: nothing could tell it from your own and remove it later.",
            f"Labels in its config: {labels}",
            f"Labels: {json.dumps(LABELS)}",
        )
    if _id(tag) in (image.manifest["config"]["digest"], image.digest):
        return False
    file = writable(folder()) / f"load-{secrets.token_hex(3)}.tar"
    try:
        file.write_bytes(archive(image, tag))
        engine.docker("load", "--quiet", stdin=file, timeout=120)
    finally:
        file.unlink(missing_ok=True)
    return True


def _id(tag: str) -> str:
    """What the engine knows under that tag; empty where it knows nothing."""
    try:
        return engine.docker("image", "inspect", "--format", "{{.Id}}", tag)
    except ClusterError:
        return ""


def command(tag: str, name: str, words: list[str], env: dict[str, str], mib: int) -> list[list[str]]:
    """The `docker run` that is typed at work, with a name and the lab's labels, in parts that belong on a line each."""
    marks = {**LABELS, engine.HOME: engine.owner()}
    labels = [word for label, value in marks.items() for word in ("--label", f"{label}={value}")]
    limit = ["--memory", f"{mib}m", "--memory-swap", f"{mib}m"] if mib else []
    variables = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
    return [["docker", "run", "--pull", "never", "--name", name, *labels], [*limit, *variables, tag, *words]]


def end(name: str) -> tuple[bool, str]:
    """Remove a container; whether the kernel had killed it for want of memory, and its state as `docker inspect` has it."""
    try:
        state: dict[str, Any] = json.loads(engine.docker("inspect", "--format", "{{json .State}}", name))
        engine.docker("rm", "--force", "--volumes", name)
    except ClusterError:  # it was never made
        return False, ""
    killed = bool(state.get("OOMKilled"))
    return killed, f"docker inspect: ExitCode {state.get('ExitCode')}, OOMKilled {str(killed).lower()}"


def clean() -> int:
    """Remove this lab's containers and images; how many there were. Everything else stays as it is."""
    if not engine.info():
        return 0
    containers, images = engine.listed("container", _OWN), engine.listed("image", _OWN)
    if containers:
        engine.docker("rm", "--force", "--volumes", *containers)
    if images:
        engine.docker("image", "rm", "--force", *images)
    return len(containers) + len(images)
