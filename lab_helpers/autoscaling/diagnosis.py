"""The rows of `lab doctor` that concern autoscalers: which cluster autoscaler lab 18 uses; which Karpenter runs, and the two
ports of each that it opens to every address."""

from __future__ import annotations

import contextlib
import json

import psutil

from lab_helpers import clusters, processes
from lab_helpers.autoscaling import karpenter, upstream
from lab_helpers.errors import SettingError
from lab_helpers.settings import Settings
from lab_helpers.toolchain.diagnose import Row

_NEED = "for lab 19; it starts it"


def diagnose(settings: Settings) -> list[Row]:
    """A row for the cluster autoscaler, and one for each Karpenter that is kept running."""
    rows = [_cluster_autoscaler(settings)]
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


def _cluster_autoscaler(settings: Settings) -> Row:
    what, need = "Cluster Autoscaler", f"for lab 18; {upstream.VARIABLE} may name upstream's, {upstream.wanted()}.x"
    try:
        if path := upstream.program(settings):
            return Row(what, f"upstream's {upstream.version(path)}, your own: {path}; with its kwok provider", need)
        return Row(what, f"the course's own loop ({upstream.VARIABLE} is not set)", need)
    except SettingError as error:
        return Row(what, f"{error.headline} {error.seen}".strip(), need, error.next_step, ok=False)
