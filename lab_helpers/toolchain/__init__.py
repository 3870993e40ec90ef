"""Local programs: which ones, which version, where from. One folder per family holds its go.mod and go.sum.

Clusters and teaching call `ensure`, `path` and `bin_folder`; whoever shows progress follows `status`.
"""

from __future__ import annotations

from lab_helpers.toolchain.catalog import OLDER_MINORS, PROGRAMS, version
from lab_helpers.toolchain.lookup import bin_folder, missing, path, usual
from lab_helpers.toolchain.prepare import ensure
from lab_helpers.toolchain.setup_status import SetupStatus

__all__ = [
    "OLDER_MINORS",
    "PROGRAMS",
    "SetupStatus",
    "bin_folder",
    "changes",
    "ensure",
    "missing",
    "path",
    "status",
    "usual",
    "version",
]


def status() -> SetupStatus:
    """How far the set-up is, whichever process does it."""
    from lab_helpers import settings
    from lab_helpers.toolchain.setup_status import read

    return read(settings.load())


def changes(name: str) -> str:
    """What the lab changes in a program's sources before it builds it: its patches, each with its reason; empty: nothing.

    Where the program is the user's own, a sentence that says so.
    """
    from lab_helpers import settings
    from lab_helpers.toolchain import own
    from lab_helpers.toolchain.lookup import known

    program = known(name)
    if path := own.find(settings.load(), program):
        return f"Nothing: this {name} is your own, {path}. It is as it was released, pauses included."
    return "\n".join(path.read_text() for path in sorted(program.family.folder.glob("*.patch")))
