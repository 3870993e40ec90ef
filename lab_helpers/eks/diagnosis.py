"""The rows of `lab doctor` that concern the local AWS."""

from __future__ import annotations

import contextlib
import json
from importlib import metadata

import psutil

from lab_helpers.eks import service
from lab_helpers.settings import Settings
from lab_helpers.toolchain.diagnose import Row

_NEED = "for labs with AWS; they start it"


def diagnose(settings: Settings) -> list[Row]:
    """Whether the local AWS runs, and what plays it."""
    made = f"moto {metadata.version('moto')}, AWS CLI {metadata.version('awscli')}"
    here = service.folder(settings)
    if found := service.running(settings):
        memory = 0.0
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(found.pid).memory_info().rss / 1e6
        return [Row("local AWS", f"runs on 127.0.0.1:{found.port}, {memory:.0f} MB ({made})", _NEED)]
    if not (here / "endpoint.json").exists():
        return [Row("local AWS", f"not started ({made})", _NEED)]
    kept = "its account is kept" if (here / "state").exists() else "its account is empty"
    with contextlib.suppress(OSError, ValueError, KeyError):
        if psutil.pid_exists(json.loads((here / "endpoint.json").read_text())["pid"]):
            return [Row("local AWS", "does not answer", _NEED, "lab clean, or wait: it may be starting", ok=False)]
    return [Row("local AWS", f"does not run; {kept} ({made})", _NEED)]
