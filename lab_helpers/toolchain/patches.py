"""Unified diffs applied strictly: where the old lines do not stand exactly once in the file, nothing is changed."""

from __future__ import annotations

import re
from pathlib import Path

from lab_helpers.errors import ProgramError

_FILE = re.compile(r"^--- a/(\S+)\n\+\+\+ b/\S+\n", re.M)


def apply(patch: str, folder: Path) -> None:
    """Apply a patch (as `diff -u` writes it, with a/ and b/ before the names) to the files of a folder.

    Raises:
        ProgramError: the patch changes nothing, or does not fit the sources.
    """
    _, *parts = _FILE.split(patch)  # a name, its hunks, a name, …
    if not parts:
        raise ProgramError("A patch of the lab changes no file.", patch[:300], "git checkout lab_helpers/toolchain")
    for name, hunks in zip(parts[::2], parts[1::2], strict=True):
        path = folder / name
        text = path.read_text() if path.is_file() else ""
        for hunk in re.split(r"^@@ .*\n", hunks, flags=re.M)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] or "\n" for line in lines if line[0] in " -\n")
            new = "".join(line[1:] or "\n" for line in lines if line[0] in " +\n")
            if text.count(old) != 1:
                raise ProgramError(f"A patch of the lab does not fit {name}.", old, "git checkout lab_helpers/toolchain")
            text = text.replace(old, new)
        path.chmod(0o644)
        path.write_text(text)
