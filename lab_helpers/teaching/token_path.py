"""The way of one request into an EKS cluster, put together from three logs: audit, authenticator, and AWS's calls.

No log has the whole of it, and no id goes through all three. What joins them is time: the API server writes when it
received a request and when it answered; only between the two does it ask the authenticator, and that asks STS.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab_helpers import settings
from lab_helpers.eks import calls as call_log
from lab_helpers.eks import service
from lab_helpers.errors import ClusterError
from lab_helpers.teaching import cloud
from lab_helpers.views import Picture, facts, token_path
from lab_helpers.views.audit_rows import last_stages
from lab_helpers.views.token_path import PARTIES, Message

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

KUBECTL, PLUGIN, SERVER, AUTHENTICATOR, STS = PARTIES
_AUDIT, _CALLS, _OWN, _TOKEN = "audit log", "AWS's call log", "authenticator's log", "the token itself"
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
_LATE = 0.3  # seconds: a line is written a little after the fact
_ONE_KUBECTL = 5.0  # seconds: first it may ask what kinds there are, then what was typed

Event = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """One request: its messages in their order, what was asked, how it ended."""

    messages: list[Message]
    asked: str
    ended: str


def latest(lab: Lab, last: float, brought: bool) -> Picture:
    """The way of kubectl's latest request, of the last seconds, into the EKS cluster that a lab looks at; see `story`."""
    chosen, since = settings.load(), time.time() - last
    log = cloud.log(chosen, lab.cluster.name).read_text(errors="replace")
    events = lab.audit(reads=True, since=since)
    found = story(events, call_log.read(service.folder(chosen), since), log, brought=brought)
    return token_path(found.messages, title=found.asked, summary=found.ended)


def story(events: Iterable[Event], calls: Sequence[Event], log: str, *, brought: bool = False) -> Story:
    """The latest request of kubectl.

    Args:
        events: audit events.
        calls: AWS's calls, oldest first.
        log: the authenticator's.
        brought: kubectl was given the token (`--token`) and ran no plugin; no log says so.

    Raises:
        ClusterError: there is none.
    """
    asked = [event for event in last_stages(events) if str(event.get("userAgent", "")).startswith("kubectl")]
    if not asked:
        raise ClusterError("No kubectl has asked this cluster lately.", next_step="run the cell with kubectl above first")
    event, reviews = asked[-1], lines_of(log)
    # A token is reviewed with the first request that brings it.
    near = [other for other in asked if _began(event) - _began(other) < _ONE_KUBECTL]
    first = next((other for other in reversed(near) if _reviewed(other, calls, reviews)), event)
    start = _began(first)
    before = [
        Message(KUBECTL, PLUGIN, "who am I? (the command in the kubeconfig)", "kubeconfig"),
        Message(PLUGIN, PLUGIN, "signs a request to STS, and sends it nowhere", _TOKEN),
        Message(PLUGIN, KUBECTL, "k8s-aws-v1.… : that request, as text", _TOKEN),
    ]
    messages = [
        *([Message(KUBECTL, KUBECTL, "takes the token that you brought", "your command")] if brought else before),
        Message(KUBECTL, SERVER, f"{_asks(first)}, with the token", _AUDIT, 0.0),
        *_reviewed(first, calls, reviews),
    ]
    if not _reviewed(first, calls, reviews):
        words = "the same token as a moment ago: what it was told then is good for 5 s"
        messages.append(Message(SERVER, SERVER, words, "no line in a log"))
    if first is not event:
        messages.append(Message(KUBECTL, SERVER, f"{_asks(event)}, with the same token", _AUDIT, _began(event) - start))
    messages += _decided(event, _ended(event) - start)
    who = (event.get("user") or {}).get("username") or "nobody"
    return Story(messages, f"kubectl: {_asks(event)}", f"{_code(event)} for {who}")


def lines_of(log: str) -> list[dict[str, str]]:
    """The authenticator's lines about tokens (logrus: `key=value`, quoted where it has to be)."""
    rows = []
    for line in log.splitlines():
        row = {name: value.strip('"').replace('\\"', '"') for name, value in _FIELD.findall(line)}
        if row.get("path") == "/authenticate" and "time" in row:
            rows.append(row)
    return rows


def _reviewed(event: Event, calls: Sequence[Event], reviews: Sequence[dict[str, str]]) -> list[Message]:
    """What authenticator and STS said of the token of this request; empty where they were not asked."""
    began, ended = _began(event), _ended(event)
    # The authenticator's log counts in whole seconds.
    near = [row for row in reviews if int(began) <= facts.seconds(row["time"]) <= ended + _LATE]
    verdict = next((row for row in reversed(near) if row.get("msg") in ("access granted", "access denied")), None)
    call = next((one for one in calls if _presigned(one) and began <= facts.seconds(one["eventTime"]) <= ended + _LATE), None)
    # Where STS was not asked, whole seconds alone would take another request's verdict for this one's.
    if verdict is None or (call is None and (verdict["msg"] == "access granted" or _code(event) != 401)):
        return []
    messages = [Message(SERVER, AUTHENTICATOR, "TokenReview: whose is this?", _OWN)]
    if call:
        at = facts.seconds(call["eventTime"]) - began
        signed = f"{call['eventName']}, presigned, with x-k8s-aws-id"
        messages.append(Message(AUTHENTICATOR, STS, signed, _CALLS))
        said = f"{call['additionalEventData']['httpStatus']} {call['errorCode']}"
        arn = call["userIdentity"].get("arn") or ""
        messages.append(Message(STS, AUTHENTICATOR, said if call["errorCode"] else arn, _CALLS, at, bool(call["errorCode"])))
    if verdict["msg"] == "access granted":
        said = f"{verdict.get('username')}, groups {verdict.get('groups')}"
        return [*messages, Message(AUTHENTICATOR, SERVER, said, _OWN)]
    return [*messages, Message(AUTHENTICATOR, SERVER, f"no: {_brief(verdict.get('error', ''))}", _OWN, None, True)]


def _decided(event: Event, at: float) -> list[Message]:
    """What the API server made of it."""
    code, status = _code(event), event.get("responseStatus") or {}
    if code == 401:
        return [Message(SERVER, KUBECTL, "401 Unauthorized", _AUDIT, at, True)]
    if code == 403:
        return [Message(SERVER, KUBECTL, f"403 {status.get('message') or 'Forbidden'}", _AUDIT, at, True)]
    why = (event.get("annotations") or {}).get("authorization.k8s.io/reason") or "a master is not asked for rights"
    return [
        Message(SERVER, SERVER, f"may they? {why}", _AUDIT),
        Message(SERVER, KUBECTL, f"{code} {status.get('reason') or ''}".strip(), _AUDIT, at, code >= 400),
    ]


def _began(event: Event) -> float:
    return facts.seconds(event["requestReceivedTimestamp"])


def _ended(event: Event) -> float:
    return facts.seconds(event["stageTimestamp"])


def _code(event: Event) -> int:
    return int((event.get("responseStatus") or {}).get("code", 0))


def _presigned(call: Event) -> bool:
    return bool(call["additionalEventData"].get("presigned")) and str(call["eventSource"]).startswith("sts.")


def _asks(event: Event) -> str:
    target = event.get("objectRef") or {}
    what = "/".join(str(target[key]) for key in ("resource", "subresource", "name") if target.get(key))
    where = f" in {target['namespace']}" if target.get("namespace") and target.get("resource") != "namespaces" else ""
    return f"{event.get('verb')} {what or str(event.get('requestURI', '')).partition('?')[0]}{where}"


def _brief(error: str) -> str:
    """STS's answer has a body of many lines: its code is enough here, the log has the rest."""
    code = re.search(r"Code\W+(\w+)", error)
    return f"STS says {code[1]}" if code else error
