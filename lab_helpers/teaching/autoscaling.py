"""Follows a HorizontalPodAutoscaler at work: load, CPU and replicas on one live picture."""

from __future__ import annotations

import time
from typing import Any

from lab_helpers.errors import WaitTimeout
from lab_helpers.kube import Kube
from lab_helpers.teaching.traffic import Traffic
from lab_helpers.views import Live, Sample, scaling
from lab_helpers.views.axis import Marks

Object = dict[str, Any]
_PAUSE = 0.5


def follow(
    kube: Kube, name: str, traffic: Traffic, until: int, *, namespace: str = "default", seconds: float = 90, marks: Marks = ()
) -> None:
    """Draw until the Deployment has so many replicas, all ready: at least so many on the way up, at most on the way down.

    What was seen before with the same traffic is drawn, too.

    Args:
        name: of the autoscaler.
        traffic: the load.

    Raises:
        WaitTimeout: it did not happen; says what the autoscaler says of itself.
    """
    samples, upward, end = traffic.samples, None, time.monotonic() + seconds
    autoscaler: Object = {}
    with Live() as live:
        while True:
            autoscaler = kube.get("horizontalpodautoscaler", name, namespace)
            reference = autoscaler["spec"]["scaleTargetRef"]
            samples.append(sample(autoscaler, kube.get(reference["kind"], reference["name"], namespace), traffic.recent()))
            live.show(scaling(samples, target(autoscaler), marks, title=f"{name}: load and replicas"))
            now = samples[-1]
            upward = now.wanted < until if upward is None else upward
            there = now.wanted >= until if upward else now.wanted <= until
            if there and now.ready == now.wanted:
                return
            if time.monotonic() > end:
                raise WaitTimeout(
                    f"{name} did not come to {until} replicas within {seconds:.0f} s.",
                    _says(autoscaler),
                    f"kubectl describe hpa {name} -n {namespace}; kubectl top pods -n {namespace}",
                )
            time.sleep(_PAUSE)


def sample(autoscaler: Object, workload: Object, rate: float) -> Sample:
    """One look at an autoscaler (v2), its workload and the load."""
    current = [
        entry["resource"]["current"].get("averageUtilization")
        for entry in autoscaler.get("status", {}).get("currentMetrics") or []
        if entry.get("resource", {}).get("name") == "cpu"
    ]
    wanted, ready = workload["spec"].get("replicas", 1), workload.get("status", {}).get("readyReplicas", 0)
    return Sample(time.time(), rate, current[0] if current else None, wanted, ready)


def target(autoscaler: Object) -> float:
    """The CPU use that it aims at, in per cent of what the Pods request."""
    metrics = autoscaler["spec"].get("metrics") or []
    found = [
        entry["resource"]["target"].get("averageUtilization")
        for entry in metrics
        if entry.get("resource", {}).get("name") == "cpu"
    ]
    return float(found[0] if found and found[0] else 80)


def _says(autoscaler: Object) -> str:
    conditions = autoscaler.get("status", {}).get("conditions") or []
    return "; ".join(f"{entry['type']}={entry['status']}: {entry.get('message', '')}" for entry in conditions)
