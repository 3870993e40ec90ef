"""Fixtures for every test: no test sees the user's own settings, folders or credentials."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["groups", "tally"]

# Labs stand alone, so their order must not matter: each run has another one, the same in all its workers.
os.environ.setdefault("LAB_SEED", str(random.randrange(1000)))

# A script's background job begins with SIGINT ignored, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests that are not about a provider run on embedded, which every machine has; journeys run on whatever there is, or on
# the one that LAB_PROVIDER named.
os.environ.setdefault("LAB_JOURNEYS", os.environ.get("LAB_PROVIDER", "").replace("auto", ""))
os.environ["LAB_PROVIDER"] = "embedded"

CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@pytest.fixture
def home(monkeypatch):
    """A state of its own: data under a short path (unix sockets allow 100 characters), the user's programs' cache."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)
    for name in ("LAB_LABS", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
