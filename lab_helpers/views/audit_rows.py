"""Audit events as rows of a diagram: who, what, with which answer; what repeats is folded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.picture import shared_start

SERVER = "API server"
FEW = 24  # rows up to which every object has one of its own
_NEAR = 6  # repeats are folded where so few rows lie between them

_LOOPS = {
    "kube-scheduler": "scheduler",
    "kwok-controller": "KWOK (as kubelet)",
    "kubelet": "kubelet",
    "kube-proxy": "kube-proxy",
    "kube-controller-manager": "controller-manager",
    "kube-apiserver": "API server (itself)",
}
_PROGRAMS = {"lab": "the lab", "OpenAPI-Generator": "Python", "python-requests": "Python", "Mozilla": "browser"}


@dataclass
class Row:
    """One arrow.

    Attributes:
        actor: who asked.
        verb, what, name: what for: `create`, `pods/binding`, `web-7d-x2x`.
        code: the HTTP status answered.
        why: its reason in one word, where it is a refusal: `Conflict`, `Forbidden`.
        message: the API server's own words, where it is a refusal.
        at: seconds since the first event.
        names: names of what was folded into this row.
    """

    actor: str
    verb: str
    what: str
    name: str
    code: int
    why: str
    message: str
    at: float
    times: int = 1
    names: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether the answer was no."""
        return self.code >= 400

    @property
    def label(self) -> str:
        """`create pods/binding web-7d-x2x → 201`."""
        name = self.name
        different = list(dict.fromkeys(self.names))
        if len(different) > 1:
            name = ", ".join(different)
            name = name if len(name) <= 24 else f"{shared_start(different)}…"
        times = f" ×{self.times}" if self.times > 1 else ""
        answer = f"→ {self.code}{f' {self.why}' if self.why else ''}" if self.code else ""
        return " ".join(filter(None, (self.verb, self.what, f"{name}{times}".strip(), answer)))


def actor(event: Object) -> str:
    """Who sent a request, in the field's words: `kubectl`, `replicaset-controller`, `scheduler`, `KWOK (as kubelet)`.

    Who is not the administrator is named: `kubectl (jane)`.
    """
    program, _, rest = str(event.get("userAgent", "")).partition("/")
    if program == "kube-controller-manager" and rest.count("/") > 2:
        return rest.rpartition("/")[2]
    if program in _LOOPS:
        return _LOOPS[program]
    name = _PROGRAMS.get(program, program) or "unknown"
    user = event.get("impersonatedUser") or event.get("user") or {}
    who = str(user.get("username", ""))
    if not who or "system:masters" in (user.get("groups") or []):
        return name
    return f"{name} ({who.removeprefix('system:serviceaccount:').removeprefix('system:')})"


def is_loop(name: str) -> bool:
    """Whether an actor is one of the cluster's own control loops."""
    return name in _LOOPS.values() or name.endswith(("-controller", "-autoscaler", "-collector", "-publisher", "-discovery"))


def last_stages(events: Iterable[Object]) -> list[Object]:
    """Of each request the last stage, oldest request first."""
    answered = (event for event in events if event.get("stage") != "RequestReceived")
    done = list({event.get("auditID") or id(event): event for event in sorted(answered, key=_stage)}.values())
    return sorted(done, key=lambda event: str(event["requestReceivedTimestamp"]))


def rows_of(events: list[Object], few: int) -> list[Row]:
    """Events as rows, oldest first. Equal ones become one; where there are too many, so do those of different objects.

    Of each request the last stage counts: a 401 and a watch that goes on end at ResponseStarted.
    """
    done = last_stages(events)
    if not done:
        return []
    first = facts.seconds(done[0]["requestReceivedTimestamp"])
    rows = _fold([_row(event, first) for event in done], lambda row: (row.actor, row.verb, row.what, row.name, row.code))
    if len(rows) > min(FEW, few):
        rows = _fold(rows, lambda row: (row.actor, row.verb, row.what, row.code))
    return rows


_STAGES = ("ResponseStarted", "ResponseComplete", "Panic")


def _stage(event: Object) -> int:
    stage = event.get("stage", "ResponseComplete")
    return _STAGES.index(stage) if stage in _STAGES else 0


def _row(event: Object, first: float) -> Row:
    status, target = event.get("responseStatus") or {}, event.get("objectRef") or {}
    code = int(status.get("code", 0))
    at = facts.seconds(event["requestReceivedTimestamp"]) - first
    why = str(status.get("reason") or _REASONS.get(code, "")) if code >= 400 else ""
    message = str(status.get("message", "")) if code >= 400 else ""
    verb = str(event.get("verb", "?"))
    if not target:
        return Row(actor(event), verb, "", str(event.get("requestURI", "")).partition("?")[0], code, why, message, at)
    what = "/".join(str(target[key]) for key in ("resource", "subresource") if target.get(key))
    made = (event.get("responseObject") or {}).get("metadata") or {}
    name = str(target.get("name") or made.get("name", "")) if verb != "deletecollection" else ""
    if what == "events":  # their names end in a number that tells nobody anything
        name = re.sub(r"\.[0-9a-f]{12,}$", "", name)
    if "dryRun=All" in str(event.get("requestURI", "")):
        verb = f"{verb} (dry run)"
    return Row(actor(event), verb, what, name, code, why, message, at)


_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests"}


def _fold(rows: list[Row], key: Callable[[Row], object]) -> list[Row]:
    folded: list[Row] = []
    for row in rows:
        alike = next((old for old in reversed(folded[-_NEAR:]) if key(old) == key(row)), None)
        if alike:
            alike.times += row.times
            alike.names += row.names or [row.name]
        else:
            row.names = row.names or [row.name]
            folded.append(row)
    return folded
