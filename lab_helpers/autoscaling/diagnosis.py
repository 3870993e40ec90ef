"""The rows of `lab doctor` that concern Karpenter: which run, and the two ports of each that it opens to every address."""

from __future__ import annotations

import contextlib
import json

import psutil

from lab_helpers import clusters, processes
from lab_helpers.autoscaling import karpenter
from lab_helpers.settings import Settings
from lab_helpers.toolchain.diagnose import Row

_NEED = "for lab 19; it starts it"


def diagnose(settings: Settings) -> list[Row]:
    """A row for each Karpenter that is kept running; none runs: no row."""
    rows = []
    for maker in clusters.every(settings):
        for cluster in maker.list():
            here = cluster.folder / karpenter.NAME
            if not karpenter.running(here):
                continue
            found = processes.recorded(here).get(karpenter.NAME)
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                told = json.loads((here / "ports.json").read_text())
                memory = psutil.Process(found.pid).memory_info().rss / 1e6 if found else 0.0
                words = (
                    f"runs beside {cluster.name}, {memory:.0f} MB. Its ports {told['metrics']} (metrics) and "
                    f"{told['health']} (health) listen on every address of this machine: it has no setting for that"
                )
                rows.append(Row("Karpenter", words, _NEED))
    return rows
