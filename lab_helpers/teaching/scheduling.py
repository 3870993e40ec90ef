"""What the scheduler writes of one decision into its log: who was scored, by which plugin, and what came of it.

The lines are those of pkg/scheduler/schedule_one.go (Kubernetes v1.36) at verbosity 10. A profile asks for them with
`arguments: {kube-scheduler: {vmodule: schedule_one=10}}`, on either provider; `v: "10"` would write every request too.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab_helpers.errors import LabError

_LINE = re.compile(r'^[IWE]\d{4} \S+\s+\d+ \S+\] ("(?:[^"\\]|\\.)*")(.*)$')
_PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')
PATIENCE = 8.0


@dataclass
class Decision:
    """The scheduler's latest look at one Pod.

    Attributes:
        pod: `namespace/name`.
        scores: node → plugin → points, as they are added up: normalized and weighted.
        totals: node → all points.
        node: where the Pod was bound; empty: nowhere.
        evaluated, feasible: how many nodes were looked at, and how many passed every filter.
        said: why there was no node, in the scheduler's words; empty where there was one.
    """

    pod: str
    scores: dict[str, dict[str, int]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    node: str = ""
    evaluated: int = 0
    feasible: int = 0
    said: str = ""

    @property
    def made(self) -> bool:
        """Whether it has come to an end."""
        return bool(self.node or self.said)


def decisions(log: Iterable[str]) -> dict[str, Decision]:
    """The latest decision about each Pod, in the order in which the scheduler took them up."""
    found: dict[str, Decision] = {}
    for line in log:
        match = _LINE.match(line)
        if not match or ' pod="' not in match[2]:
            continue
        words = {name: str(json.loads(value)) if value[0] == '"' else value for name, value in _PAIR.findall(match[2])}
        pod, message = words["pod"], json.loads(match[1])
        if message == "Attempting to schedule pod":
            found.pop(pod, None)  # so that it comes last
            found[pod] = Decision(pod)
        elif pod in found:
            _note(found[pod], message, words)
    return found


def _note(decision: Decision, message: str, words: dict[str, str]) -> None:
    if message == "Plugin scored node for pod":
        decision.scores.setdefault(words["node"], {})[words["plugin"]] = int(words["score"])
    elif message == "Calculated node's final score for pod":
        decision.totals[words["node"]] = int(words["score"])
    elif message == "Successfully bound pod to node":
        decision.node = words["node"]
        decision.evaluated, decision.feasible = int(words["evaluatedNodes"]), int(words["feasibleNodes"])
    elif message.startswith("Unable to schedule pod"):
        decision.said = words.get("err", "?")


def latest(name: str, namespace: str, read: Callable[[], str], seconds: float = PATIENCE) -> Decision:
    """The decision about the Pod of this name, or the latest about one whose name begins with it and a dash.

    Args:
        read: reads the scheduler's log; again and again, because it may not have come to the Pod yet.

    Raises:
        LabError: the log has none, or holds no scores at all.
    """
    end = time.monotonic() + seconds
    while True:
        text = read()
        found = decisions(text.splitlines())
        exact = found.get(f"{namespace}/{name}")
        begun = [one for pod, one in found.items() if pod.startswith(f"{namespace}/{name}-")]
        decision = exact or (begun[-1] if begun else None)
        if decision and decision.made:
            return decision
        if time.monotonic() > end:
            break
        time.sleep(0.3)
    if "Attempting to schedule pod" not in text:
        raise LabError(
            "The scheduler's log holds no decisions.",
            "it writes them at verbosity 10 only",
            'lab.arguments("kube-scheduler") shows how it was started; in lab.yaml: vmodule: schedule_one=10',
        )
    raise LabError(
        f"The scheduler has not decided about {namespace}/{name}.",
        f"the last ones it looked at: {', '.join(list(found)[-4:]) or 'none'}",
        f"kubectl get pods -n {namespace} -o wide",
    )
