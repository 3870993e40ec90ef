"""The way of a request into an EKS cluster: three logs joined by time, and the picture of it."""

from __future__ import annotations

import pytest
from views_objects import Seen

from lab_helpers.errors import ClusterError
from lab_helpers.teaching.token_path import lines_of, story
from lab_helpers.views import token_path
from lab_helpers.views.palette import VERMILLION

ALICE = "arn:aws:iam::123456789012:user/alice"
GRANTED = (
    'time="2026-11-28T22:00:05Z" level=info msg="access granted" arn="{arn}" client="127.0.0.1:5000" groups="[system:masters]" '
    "method=POST path=/authenticate stsendpoint=sts.us-east-1.amazonaws.com uid=x username=alice"
)
DENIED = (
    'time="2026-11-28T22:00:05Z" level=warning msg="access denied" client="127.0.0.1:5000" '
    'error="{error}" method=POST path=/authenticate'
)


def event(second: float, took: float, code: int, *, user="", name="pods", agent="kubectl/v1.36.3", **more):
    def at(moment: float) -> str:
        return f"2026-11-28T22:00:{moment:09.6f}Z"

    return {
        "auditID": str(second),
        "stage": "ResponseComplete",
        "verb": "list",
        "userAgent": agent,
        "requestReceivedTimestamp": at(second),
        "stageTimestamp": at(second + took),
        "objectRef": {"resource": name, "namespace": "shop"},
        "user": {"username": user} if user else {},
        "responseStatus": {"code": code},
        **more,
    }


def call(second: float, code: str = ""):
    return {
        "eventTime": f"2026-11-28T22:00:{second:06.3f}Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "userIdentity": {"arn": ALICE},
        "errorCode": code or None,
        "additionalEventData": {"httpStatus": 403 if code else 200, "presigned": True},
    }


def said(found) -> list[str]:
    return [f"{one.source} → {one.target}: {one.words}" for one in found.messages]


def test_who_was_asked_and_what_was_said():
    found = story([event(5.1, 0.2, 200, user="alice")], [call(5.2)], GRANTED.format(arn=ALICE))
    assert (found.asked, found.ended) == ("kubectl: list pods in shop", "200 for alice")
    assert said(found)[3:] == [
        "kubectl → API server: list pods in shop, with the token",
        "API server → authenticator: TokenReview: whose is this?",
        "authenticator → STS: GetCallerIdentity, presigned, with x-k8s-aws-id",
        f"STS → authenticator: {ALICE}",
        "authenticator → API server: alice, groups [system:masters]",
        "API server → API server: may they? a master is not asked for rights",
        "API server → kubectl: 200",
    ]
    assert [round(one.at, 1) for one in found.messages if one.at is not None] == [0.0, 0.1, 0.2]


def test_refused_by_sts_by_the_authenticator_alone_and_by_rbac():
    body = r"error from AWS (expected 200, got 403). Body: {\"Error\":{\"Code\":\"SignatureDoesNotMatch\"}}"
    wrong = story([event(5.1, 0.2, 401)], [call(5.2, "SignatureDoesNotMatch")], DENIED.format(error=body))
    assert said(wrong)[-3:] == [
        "STS → authenticator: 403 SignatureDoesNotMatch",
        "authenticator → API server: no: STS says SignatureDoesNotMatch",
        "API server → kubectl: 401 Unauthorized",
    ]
    assert [one.refused for one in wrong.messages[-3:]] == [True] * 3 and wrong.ended == "401 for nobody"
    old = story([event(5.1, 0.2, 401)], [], DENIED.format(error="X-Amz-Date parameter is expired"))
    assert "STS" not in " ".join(one.target for one in old.messages)
    assert said(story([event(5.1, 0.2, 401)], [], "", brought=True))[0].startswith("kubectl → kubectl: takes the token")
    assert said(old)[-2] == "authenticator → API server: no: X-Amz-Date parameter is expired"
    words = 'pods is forbidden: User "dev" cannot list resource "pods"'
    forbidden = event(5.1, 0.2, 403, user="dev", responseStatus={"code": 403, "message": words})
    assert said(story([forbidden], [call(5.2)], GRANTED.format(arn=ALICE)))[-1] == f"API server → kubectl: 403 {words}"


def test_a_token_is_reviewed_once_and_the_answer_remembered():
    events = [event(5.1, 0.2, 200, user="alice", name="services"), event(5.4, 0.01, 200, user="alice")]
    found = story(events, [call(5.2)], GRANTED.format(arn=ALICE))
    assert "list services in shop, with the token" in said(found)[3]
    assert "list pods in shop, with the same token" in said(found)[-3] and found.asked == "kubectl: list pods in shop"
    alone = story([event(9.0, 0.01, 200, user="alice")], [], GRANTED.format(arn=ALICE))
    assert "good for 5 s" in said(alone)[4]


def test_programs_of_the_lab_are_nobodys_story():
    with pytest.raises(ClusterError, match="No kubectl has asked"):
        story([event(5.1, 0.2, 200, agent="lab")], [call(5.2)], "")


def test_lines_of_the_log():
    rows = lines_of("\n".join(["I1128 klog line", GRANTED.format(arn=ALICE), 'time="x" level=info msg="starting mapper"']))
    assert [row["arn"] for row in rows] == [ALICE]


def test_the_picture_has_every_message_in_words():
    found = story([event(5.1, 0.2, 401)], [call(5.2, "SignatureDoesNotMatch")], DENIED.format(error="no"))
    picture = token_path(found.messages, title=found.asked, summary=found.ended)
    assert picture.alt.splitlines()[0] == "kubectl: list pods in shop: 401 for nobody"
    assert len(picture.alt.splitlines()) == 1 + len(found.messages)
    assert VERMILLION in picture.html and Seen(picture)
