"""The bottom layer of an image without a registry: this machine's own Python, with what it needs and nothing else.

No base image can be pulled without a network, so the layer is made of what is surely here: the Python that runs this
notebook, the usual part of its standard library, and a shell with a few tools; `ldd` says which shared libraries they
need. In the image they stand where a distribution has them (/usr/bin/python3), wherever they stand here.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from lab_helpers import processes
from lab_helpers.errors import ProgramError

TOOLS = ("sh", "ls", "cat", "id", "hostname")

# What a small program is likely to import; a whole standard library would be three times as much.
MODULES = (
    "argparse, base64, bisect, collections, contextlib, csv, dataclasses, datetime, decimal, enum, fractions, functools, glob, "
    "heapq, io, itertools, json, logging, math, os, pathlib, queue, random, re, resource, select, shutil, signal, socket, "
    "statistics, string, struct, subprocess, sys, tempfile, textwrap, threading, time, traceback, typing"
)
_ASK = "import sys, {modules}; print(*(m.__file__ for m in [*sys.modules.values()] if getattr(m, '__file__', None)), sep='\\n')"
_PLAIN = re.compile(r"lib(c|m|z|dl|rt|pthread|util|gcc_s|python[\d.]+)\.so|ld-|lib\w*musl|linux-(vdso|gate)")
_NEEDS = re.compile(r"^\s+(\S+)(?: => (\S+))?(?: \(0x[0-9a-f]+\))?$")

_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
PLATFORM = {"os": platform.system().lower(), "architecture": _ARCH.get(platform.machine().lower(), platform.machine().lower())}
"""This machine in the words of an image's config."""

ENVIRONMENT = ["PATH=/usr/bin:/bin", "PYTHONHOME=/usr", "LD_LIBRARY_PATH=/lib", "LANG=C.UTF-8"]
"""What the layer's Python has to be told: it does not stand where it was built for."""


def machine_python() -> dict[str, Path]:
    """This machine's Python as files of an image: path in the image → file here.

    Raises:
        ProgramError: its parts cannot be found; says which.
    """
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library, prefix = Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix)
    if not library.is_relative_to(prefix) or not (library / "os.py").exists():
        raise ProgramError("This Python's standard library was not found.", f"{library}", "make lab PYTHON=/another/python3")
    inside = Path("usr") / library.relative_to(prefix)
    modules = [path for path in _imported(python) if path.is_relative_to(library)]
    plain = [path for path in modules if path.suffix == ".py"]
    files = {"usr/bin/python3": python, str(inside / "os.py"): library / "os.py"}  # os.py: by this Python finds the others
    files |= {str(inside / path.relative_to(library)): path for path in plain}
    if sys.platform != "linux":
        return files  # it can be packed and pushed; only Linux runs it, and `runtime` says so
    tools = {f"bin/{name}": Path(found).resolve() for name in TOOLS if (found := shutil.which(name))}
    compiled = [path for path in modules if path.suffix == ".so"]
    needed = shared_libraries([python, *tools.values(), *compiled])
    # A module that wants more than the usual (OpenSSL, say) stays out: whoever imports it can do without.
    kept = [path for path in compiled if all(_PLAIN.match(Path(name).name) for name in needed[path])]
    files |= {str(inside / path.relative_to(library)): path for path in kept}
    for program in (python, *tools.values(), *kept):
        files |= {_place(name): path for name, path in needed[program].items() if path}
    return {**files, **tools}


def _imported(python: Path) -> list[Path]:
    """The files of all modules that are loaded with `MODULES`, asked of a fresh Python."""
    ask = [str(python), "-I", "-c", _ASK.format(modules=MODULES)]
    return [Path(line) for line in dict.fromkeys(processes.run(ask).splitlines())]


def _place(name: str) -> str:
    """Where a library goes: the loader keeps its absolute path, which is written in every program."""
    return name.lstrip("/") if name.startswith("/") else f"lib/{name}"


def shared_libraries(programs: Iterable[Path]) -> dict[Path, dict[str, Path | None]]:
    """What `ldd` says of each program: name of a library → its file (None: it is in the kernel, or nowhere).

    A name that begins with / is the loader's. A static program, or a script, needs nothing.
    """
    if not shutil.which("ldd"):
        raise ProgramError("ldd is not on this machine.", "it says which libraries a program needs", "install libc-bin")
    asked = list(programs)
    found: dict[Path, dict[str, Path | None]] = {program: {} for program in asked}
    env = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    # One call for all; with more than one name ldd puts each name before its libraries. The second is a name twice.
    command = ["ldd", *map(str, [*asked, *asked[:1]])]
    said = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120).stdout
    needs: dict[str, Path | None] = {}
    for line in said.splitlines():
        if line.startswith("/") and line.endswith(":"):
            needs = found[Path(line[:-1])]
        elif match := _NEEDS.match(line):
            name, path = match[1], match[2] or ""
            is_file = name.startswith("/") or path.startswith("/")
            needs[name] = Path(path or name).resolve() if is_file else None
    return found
