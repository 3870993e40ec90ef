"""What is known of a program: the Go module that it comes from, the official file, how it is asked for its version."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Family:
    """Programs that come from one Go module.

    Attributes:
        name: also the folder with go.mod and go.sum.
        version: of the programs, without a leading v.
        ldflags: the linker's flags.
        folder: where go.mod and go.sum stand.
        go: the oldest Go that builds it.
        module: a module that is built by its own go.mod, with the folder's *.patch files applied; go.mod here pins it
            alone. Empty: what is built are packages of the folder's own go.mod.
        files: pairs of a module and a folder in it that are kept beside the programs once they are built, for
            `modules.files`.
        beside: the name of another family in whose folder this one's go.mod stands: the same sources, linked otherwise.
    """

    name: str
    version: str
    ldflags: str = "-s -w"
    root: Path = HERE
    module: str = ""
    files: tuple[tuple[str, str], ...] = ()
    beside: str = ""

    @property
    def folder(self) -> Path:
        return self.root / (self.beside or self.name)

    @property
    def patches(self) -> list[Path]:
        """Changes that the lab makes to the module's sources, in the order in which they are applied."""
        return sorted(self.folder.glob("*.patch"))

    @property
    def go(self) -> str:
        found = re.search(r"^go (\S+)", (self.folder / "go.mod").read_text(), re.M)
        return found[1] if found else "1.26.0"


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        name: what is typed.
        family: where it comes from.
        package: the Go package that is built.
        url: the official file, with {os} and {arch}; empty: none is published.
        member: the file's name inside the archive, with {os} and {arch}; empty: the file is the program.
        sha256: `os/arch` → checksum of the file.
        published: suffix of the checksum file beside it, for what is not pinned; empty: none.
        systems: the operating systems for which it is published.
        ask: arguments that print the version.
        stamped: for a program that starts with `ask` but does not print its version: the module whose version Go wrote
            into the file.
        seconds: about how long a build takes on two cores, for the estimate of what is left.
        megabytes: about how large the official file is, for the same.
        group: what it is needed for, so that only that prepares it: `kind`, `node image`, `eks`,
            `eks node`, `karpenter`; empty: every set-up does.
    """

    name: str
    family: Family
    package: str
    url: str = ""
    member: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    published: str = ""
    systems: tuple[str, ...] = ("linux",)
    ask: tuple[str, ...] = ("--version",)
    stamped: str = ""
    seconds: int = 20
    megabytes: int = 60
    group: str = ""

    @property
    def key(self) -> str:
        """What the program is made of: version, sums, flags and machine; another key is another program."""
        parts = [self.family.version, self.package, self.family.ldflags, *machine()]
        own = sorted(path.name for end in ("go", "patch") for path in self.family.folder.glob(f"*.{end}"))
        parts += [(self.family.folder / name).read_text() for name in ("go.mod", "go.sum", *own)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def official(self) -> str:
        """The official file for this machine, or an empty text where none with a checksum is published."""
        system, arch = machine()
        checked = self.published or f"{system}/{arch}" in self.sha256
        return self.url.format(os=system, arch=arch) if self.url and checked and system in self.systems else ""


def machine() -> tuple[str, str]:
    """This machine in Go's words: ("linux", "amd64")."""
    arch = platform.machine().lower()
    return platform.system().lower(), {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(arch, arch)
