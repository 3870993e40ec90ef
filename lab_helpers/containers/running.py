"""Who runs containers on this machine, and running one: the same words in a notebook, whoever does it."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from lab_helpers import settings
from lab_helpers.containers import docker, namespaces, registry
from lab_helpers.containers.base import PLATFORM
from lab_helpers.containers.image import Image, read
from lab_helpers.containers.memory import Limit

# What unshare of util-linux 2.38 says, with exit code 1, where its child was killed by a signal; later ones pass it on.
_STUMBLE = "sigprocmask unblock failed"
DOCKER, NAMESPACES, NOBODY = "docker", "namespaces", "nobody"


@dataclass(frozen=True)
class Result:
    """How a container ended.

    Attributes:
        code: exit code; 137: killed (128 + SIGKILL's 9). None: nothing ran.
        output: what it wrote.
        killed: the kernel killed it because its memory was used up.
        why: what is known about the end.
    """

    code: int | None
    output: str
    killed: bool = False
    why: str = ""

    def __repr__(self) -> str:
        return f"exit code {self.code}" + (f"; {self.why}" if self.why else "")


@dataclass
class Runtime:
    """Who runs containers here.

    Attributes:
        name: `docker`, `namespaces` or `nobody`.
        says: what it is, for the learner.
        seen: why not another one.
    """

    name: str
    says: str
    seen: str = ""
    _limit: Limit | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        box = "border-left:6px solid #56B4E9;padding:.3em 1em;max-width:60em"
        rows = "".join(f"<p style='margin:.3em 0'><code style='background:none;font:inherit'>{escape(line)}</code></p>"
                       for line in self._lines())  # fmt: skip
        return f"<div style='{box}'>{rows}</div>"

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        return [f"Who runs containers here: {self.name}. {self.says}", *([f"Why: {self.seen}"] if self.seen else [])]

    def memory(self) -> str:
        """How memory is limited here, in a sentence."""
        if self.name == DOCKER:
            return "Memory is limited by the container's cgroup (docker run --memory)."
        return self.limit().says if self.name == NAMESPACES else self.says

    def limit(self) -> Limit:
        """The limit of one's own, where no engine limits."""
        self._limit = self._limit or namespaces.limit()
        return self._limit

    def run(
        self, layout: str | Path, *command: str, memory: int = 0, quiet: bool = False, seconds: float = 60, **env: str
    ) -> Result:
        """Run an image to its end.

        Args:
            layout: the image's folder.
            command: instead of the image's own.
            memory: limit in MiB; 0: none.
            quiet: show neither command nor output.
            seconds: it is ended after so many.
            env: variables beside the image's own.

        Raises:
            LabError: the layout is no image.
        """
        image = read(layout, thorough=False)
        if self.name == NOBODY:
            print(f"Nothing ran. {self.says}")
            return Result(None, "", why=self.says)
        inside = image.config.get("config") or {}
        words = list(command) or [*(inside.get("Entrypoint") or []), *(inside.get("Cmd") or [])]
        if self.name == DOCKER:
            return self._docker(image, list(command), env, memory, quiet, seconds)
        own = dict(entry.partition("=")[::2] for entry in inside.get("Env") or [])
        return self._namespaces(image, words, {**own, **env}, memory, quiet, seconds)

    def _docker(self, image: Image, words: list[str], env: dict[str, str], mib: int, quiet: bool, seconds: float) -> Result:
        name, _, version = image.folder.resolve().name.rpartition("-")
        tag = f"lab.local/{name}:{version}" if name else f"lab.local/{version}:lab"
        if docker.load(image, tag) and not quiet:
            print(f"$ docker load   # {image.folder} as {tag}")
        name = f"eks-lab-{secrets.token_hex(4)}"
        line = docker.command(tag, name, words, env, mib)
        try:
            code, output = _follow(line, quiet, seconds)
        finally:
            killed, why = docker.end(name)
        return Result(code, output, killed, why if mib else "")

    def _namespaces(self, image: Image, words: list[str], env: dict[str, str], mib: int, quiet: bool, seconds: float) -> Result:
        root, limit = namespaces.root_of(image), self.limit() if mib else None
        parts = namespaces.command(root, words, env, str((image.config.get("config") or {}).get("WorkingDir") or ""))
        code, killed, why = -1, False, ""
        try:
            before = limit.begin(mib) if limit else []
            try:
                code, output = _follow([before, *parts] if before else parts, quiet, seconds)
            finally:
                killed, why = limit.end(code) if limit else (False, "")
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return Result(code, output, killed, why)


def runtime() -> Runtime:
    """Who runs containers here: a Docker engine that answers, otherwise namespaces, otherwise nobody.

    With the provider `embedded` (LAB_PROVIDER) no engine is asked, as everywhere in the course.
    """
    if settings.load().provider == "embedded":
        version, seen = "", "LAB_PROVIDER is embedded, so no engine is asked"
    else:
        version, seen = docker.answer()
    if version and seen == f"linux/{PLATFORM['architecture']}" and sys.platform == "linux":
        return Runtime(DOCKER, f"The engine (version {version}) runs real containers; the lab's carry the label io.eks-lab=1.")
    if version:
        here = f"{PLATFORM['os']}/{PLATFORM['architecture']}"
        seen = f"Docker runs {seen}, and the image's Python is this machine's, for {here}"
    missing = namespaces.obstacle()
    if not missing:
        says = (
            "Linux namespaces of your own (unshare): another user, file tree, process table and host name. That is what an "
            "engine does too; here no daemon, no store of images and no network of its own come with it."
        )
        return Runtime(NAMESPACES, says, f"no Docker engine is used: {seen}." if seen else "")
    return Runtime(NOBODY, f"Nothing here runs containers: {missing} All but the runs works without.", seen)


def clean() -> None:
    """Remove what this lab's containers left: in the engine what carries the lab's labels, the registry, unpacked files."""
    removed = docker.clean() if settings.load().provider != "embedded" else 0
    ended = registry.end_registry()
    parts = [f"{removed} containers and images of this lab removed from the engine"] if removed else []
    print("; ".join([*parts, "the registry has ended" if ended else "no registry ran"]) + ".")


def _follow(parts: list[list[str]], quiet: bool, seconds: float) -> tuple[int, str]:
    """Run a command with its output on the screen, to its end or that of the time; exit code as a shell has it, and output.

    Args:
        parts: the command's words, in parts that are shown on a line each.
    """
    if not quiet:
        print("$ " + " \\\n    ".join(shlex.join(part) for part in parts), flush=True)
    child = subprocess.Popen(
        [word for part in parts for word in part],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert child.stdout
    output, held, by_signal = "", "", False
    decoder, late = codecs.getincrementaldecoder("utf-8")("replace"), time.monotonic() + seconds
    try:
        while True:
            if time.monotonic() > late:
                output += f"\n(ended after {seconds:.0f} s)\n"
                break
            if not select.select([child.stdout], [], [], 0.1)[0]:
                continue
            chunk = os.read(child.stdout.fileno(), 65536)
            new, held = held + decoder.decode(chunk), ""
            if _STUMBLE in new:
                new, by_signal = re.sub(rf"unshare: {_STUMBLE}.*\n?", "", new), True
            elif chunk and (start := new.rfind("unshare: ")) >= 0 and "\n" not in new[start:]:
                new, held = new[:start], new[start:]  # it comes in pieces
            output += new
            if not quiet:
                sys.stdout.write(new)
                sys.stdout.flush()
            if not chunk:
                child.wait(10)
                break
    finally:
        if child.poll() is None:  # the Stop button, or too late
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        child.stdout.close()
    if by_signal:
        return 128 + signal.SIGKILL, output
    return child.returncode if child.returncode >= 0 else 128 - child.returncode, output
