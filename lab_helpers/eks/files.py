"""Small files written atomically, with their mode from the first byte on."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE, PUBLIC, PROGRAM = 0o600, 0o644, 0o755


def write(path: Path, content: bytes | str, mode: int = PRIVATE) -> None:
    """Replace a file; whoever reads it meanwhile reads the old one or the new one, whole."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)  # whatever the umask says
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
