"""A program built from its pinned module, in private Go caches: interruptible, and never half there."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lab_helpers import processes
from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain import go, patches
from lab_helpers.toolchain.catalog import Program, machine

GIGABYTES = 7  # free disk that building everything takes at most: Go's caches and the programs (measured: 6.2)
BUILD_SECONDS = 3600

# A compiler must not outlive the set-up, not even one that is killed: a loop beside it looks after both once a second.
# $0 is the set-up, $$ the process that becomes Go, 0 their group.
_GUARD = '(while kill -0 "$0" && kill -0 $$; do sleep 1; done; kill -KILL 0) 2>/dev/null & exec nice "$@"'
_PACKAGE = "lab-package"  # opens a line about a package that is still to be compiled
_TEMPLATE = (
    f"{{{{if .Stale}}}}{_PACKAGE}\t{{{{.ImportPath}}}}\t{{{{.Dir}}}}\t{{{{range .GoFiles}}}}{{{{.}}}} {{{{end}}}}{{{{end}}}}"
)

# What the user may have to say about the way to the modules; every other variable of Go's is ours.
_NETWORK = ("GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOENV")

# Where one of these stands in what Go says, this is what to do about it.
_REMEDIES = {
    "signal: killed": "the machine ran out of memory: close other programs, then: lab setup",
    "no space left": "free some disk under {cache}, then: lab setup",
    "SECURITY ERROR": "the module proxy serves other files than the pinned ones: set GOPROXY to one you trust, then: lab setup",
    "dial tcp|lookup|connect|timeout|TLS|GOPROXY|reading http": "connect this machine to the network: Go fetches the sources "
    "from the module proxy (it goes by GOPROXY and HTTPS_PROXY); then: lab setup",
}


def folder(settings: Settings) -> Path:
    """The private build folder: Go's caches, logs and records of running builds."""
    return settings.cache / "build"


def check_disk(settings: Settings) -> None:
    """Raise ProgramError where the disk has no room for a build."""
    free = shutil.disk_usage(settings.cache).free / 1e9
    if free < GIGABYTES:
        raise ProgramError(
            f"Building the programs needs {GIGABYTES} GB of disk for a while.",
            f"{free:.1f} GB are free under {settings.cache}",
            "free some, or choose another disk: export XDG_CACHE_HOME=/path/with/room",
        )


def build(settings: Settings, program: Program, target: Path, show: Callable[[float], None]) -> str:
    """Build a program to `target`; the Go that did it.

    Args:
        show: called every half second with how much is compiled, 0 to 1, by the size of the packages' sources.

    Raises:
        ProgramError: no Go, no room, no network for the modules, or the compiler's own words.
    """
    compiler = go.find(settings, program.family.go)
    if not (folder(settings) / "go-build").exists():
        check_disk(settings)
    flags = ["-mod=readonly", "-ldflags", program.family.ldflags]
    source = _source(settings, program, compiler)
    # Also fetches the modules: what follows needs no network.
    listing: list[str | Path] = [compiler, "list", *flags, "-deps", "-f", _TEMPLATE, program.package]
    listed = _run(settings, program, listing, lambda said: show(0), source)
    sizes = _sizes(listed)
    whole = sum(sizes.values()) or 1

    def count(said: str) -> None:
        show(sum(sizes.get(line, 0) for line in set(said.splitlines())) / whole)

    _run(settings, program, [compiler, "build", "-v", *flags, "-o", target, program.package], count, source)
    return f"go{go.version(compiler)}"


def _source(settings: Settings, program: Program, compiler: Path) -> Path:
    """Where Go is to build: the family's folder, or a copy of its module with the lab's patches applied."""
    family = program.family
    if not family.module:
        return family.folder
    said = _run(settings, program, [compiler, "mod", "download", "-json", family.module], lambda said: None, family.folder)
    table = said[said.index("{") : said.rindex("}") + 1]  # Go tells in lines around it what it fetches
    copy = folder(settings) / "source" / family.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(json.loads(table)["Dir"], copy)
    for patch in family.patches:
        patches.apply(patch.read_text(), copy)
    return copy


def _sizes(listed: str) -> dict[str, int]:
    """Each package that is to be compiled, with the bytes of its sources."""
    sizes = {}
    for line in listed.splitlines():
        if line.startswith(f"{_PACKAGE}\t"):
            _, package, place, files = line.split("\t")
            sizes[package] = sum(
                (Path(place) / name).stat().st_size for name in files.split() if (Path(place) / name).is_file()
            )
    return sizes


def _run(settings: Settings, program: Program, command: list[str | Path], follow: Callable[[str], None], source: Path) -> str:
    """Run Go to its end in a group of its own, on record; what it said.

    Args:
        follow: called every half second, and at the end, with what it has said so far.
        source: the folder in which it runs.
    """
    name, home = f"go-build-{program.name}", folder(settings)
    log = home / "logs" / f"{name}.log"
    log.unlink(missing_ok=True)
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    guarded = ["sh", "-c", _GUARD, str(os.getpid()), *command]
    process = processes.start(name, guarded, folder=home, cwd=source, env=environment(settings))
    waited, code = 0.0, None
    try:
        while (code := _pause(process)) is None:
            waited += 0.5
            follow(_said(log))
            if waited > BUILD_SECONDS:
                raise ProgramError(f"{program.name} was not built within {BUILD_SECONDS} s.", processes.tail(log), "lab setup")
    finally:
        processes.stop(process, grace=1)  # Ctrl-C: the compiler ends too
        processes.forget(home, name)
    if code != 0:
        said = processes.tail(log)
        raise ProgramError(f"{program.name} could not be built.", said or f"Go ended with {code}", _remedy(settings, said))
    follow(_said(log))
    return _said(log)


def _pause(process: processes.Process) -> int | None:
    """Wait half a second for a process of ours: its exit code, or None while it runs."""
    import psutil

    try:
        return psutil.Process(process.pid).wait(0.5)
    except psutil.TimeoutExpired:
        return None
    except psutil.NoSuchProcess:
        return -1


def _said(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


def _remedy(settings: Settings, said: str) -> str:
    found = (remedy for words, remedy in _REMEDIES.items() if re.search(words, said))
    return next(found, "lab doctor").format(cache=settings.cache)


def environment(settings: Settings) -> dict[str, str]:
    """Go's environment: the user's network settings, our own caches and flags."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "CGO_")) or key in _NETWORK}
    system, arch = machine()
    home = folder(settings)
    return {
        **kept,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOARCH": arch,
        "GOCACHE": str(home / "go-build"),
        "GOFLAGS": "-buildvcs=false -trimpath -modcacherw",  # the last: a module cache that can be removed again
        "GOMODCACHE": str(home / "go-mod"),
        "GOOS": system,
        "GOPATH": str(home / "go"),
        "GOTMPDIR": str(home / "tmp"),  # /tmp may be small, and what a killed compiler leaves here goes with the rest
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def module_proxy(settings: Settings, compiler: Path) -> str:
    """Where Go asks for modules first, as the user has it set: an address, `direct`, `off`, or empty."""
    try:
        said = processes.run([compiler, "env", "GOPROXY"], env=environment(settings), timeout=20, cwd=Path("/"))
    except ProgramError:
        return ""
    return re.split(r"[,|]", said.strip())[0]


def stop_orphans(settings: Settings) -> None:
    """End compilers that a killed set-up left running. Call it with the set-up's lock held."""
    for name, process in processes.recorded(folder(settings)).items():
        processes.stop(process, grace=1)
        processes.forget(folder(settings), name)
    shutil.rmtree(folder(settings) / "tmp", ignore_errors=True)


def clean(settings: Settings) -> None:
    """Remove the private build folder."""
    shutil.rmtree(folder(settings), ignore_errors=True)
