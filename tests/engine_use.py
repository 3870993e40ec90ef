"""Who uses the Docker engine at the same time: journeys on kind side by side, what compares all that the engine holds alone.

A lock of a file, which several readers hold or one writer, for the workers of `pytest -n`.
"""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def engine_use(alone: bool) -> Iterator[None]:
    """Wait for one's turn, and keep it while the block runs."""
    with (Path(tempfile.gettempdir()) / "eks-lab-tests-engine.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
