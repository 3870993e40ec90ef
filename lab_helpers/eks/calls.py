"""The account's call log: one JSON event a line, with the names of CloudTrail's record contents.

docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab_helpers.eks.answers import Answer
from lab_helpers.eks.callers import Caller
from lab_helpers.eks.requests import Asked

Event = dict[str, Any]

_BYTES = 20_000_000  # then a new file is begun; the one before is kept
_LONG = 300  # characters of one value: a template is not read in a log
_READING = ("Describe", "List", "Get", "Head", "BatchGet", "Lookup")


class Log:
    """The log in a folder; written by the endpoint only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "calls.jsonl"
        self._lock = threading.Lock()

    def write(self, asked: Asked, caller: Caller | None, answer: Answer, seconds: float) -> None:
        """Write one call down. A full disk costs the line, not the answer."""
        line = json.dumps(_event(asked, caller, answer, seconds), default=str) + "\n"
        with self._lock, contextlib.suppress(OSError):
            if self.path.exists() and self.path.stat().st_size > _BYTES:
                self.path.replace(self.path.with_suffix(".1.jsonl"))
            self.path.touch(0o600)
            with self.path.open("a") as file:
                file.write(line)


def _event(asked: Asked, caller: Caller | None, answer: Answer, seconds: float) -> Event:
    # seconds before the parameters are read: what the log costs is not the call's
    return {
        "eventVersion": "1.11",
        "eventTime": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventSource": f"{asked.service}.amazonaws.com",
        "eventName": asked.name,
        "awsRegion": asked.region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": asked.headers.get("user-agent", "")[:_LONG],
        "userIdentity": _identity(asked, caller),
        "requestParameters": _short(asked.parameters),
        "errorCode": answer.code or None,
        "errorMessage": answer.message[:_LONG] or None,
        "readOnly": asked.name.startswith(_READING),
        "requestID": next((value for name, value in answer.headers if name.lower() == "x-amzn-requestid"), ""),
        "eventID": str(uuid.uuid4()),
        "eventType": "AwsApiCall",
        "recipientAccountId": caller.account if caller else None,
        "additionalEventData": {"httpStatus": answer.status, "seconds": round(seconds, 3), "presigned": asked.presigned},
    }


def _identity(asked: Asked, caller: Caller | None) -> Event:
    if caller is None:
        return {"type": "Unknown", "accessKeyId": asked.key or None}
    found: Event = {"type": "IAMUser", "principalId": caller.user_id, "arn": caller.arn, "accountId": caller.account}
    found["accessKeyId"] = caller.key
    if caller.role:
        issuer = {"type": "Role", "arn": caller.role, "userName": caller.role.rpartition("/")[2]}
        return {**found, "type": "AssumedRole", "sessionContext": {"sessionIssuer": issuer}}
    return {**found, "userName": caller.name}


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_camel(str(name)): _short(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_short(held) for held in value]
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:_LONG]}… ({len(value)} characters)"
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)[:_LONG]


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def read(folder: Path, since: float = 0) -> list[Event]:
    """The log's events, oldest first.

    Args:
        folder: the endpoint's.
        since: seconds since 1970.
    """
    after = datetime.datetime.fromtimestamp(since, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found = []
    for name in ("calls.1.jsonl", "calls.jsonl"):
        with contextlib.suppress(OSError):
            for line in (folder / name).read_text().splitlines():
                with contextlib.suppress(ValueError):  # the last line of an endpoint that was killed
                    event = json.loads(line)
                    if event["eventTime"] >= after:
                        found.append(event)
    return found


def who(event: Event) -> str:
    """Who called, in a word: a user's name, or role/session."""
    identity = event["userIdentity"]
    arn = identity.get("arn") or ""
    return (
        arn.partition("assumed-role/")[2] or arn.rpartition("/")[2] or f"unknown ({identity.get('accessKeyId') or 'unsigned'})"
    )


def program(event: Event) -> str:
    """What program asked, in a word."""
    agent = event["userAgent"].lower()
    known = {"eksctl": "eksctl", "aws-cli": "aws", "boto3": "boto3", "botocore": "boto3", "karpenter": "karpenter"}
    found = next((name for words, name in known.items() if words in agent), "")
    if event["additionalEventData"].get("presigned"):
        return "aws-iam-authenticator"  # its HTTP client gives Go's own name
    return found or agent.split("/")[0] or "?"
