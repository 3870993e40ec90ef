"""What policies say: by AWS's evaluation logic, and never more than AWS would allow."""

from __future__ import annotations

import pytest

from lab_helpers.eks.callers import Caller
from lab_helpers.eks.policies import decide, trusts

ALICE = Caller("arn:aws:iam::123456789012:user/alice", "AIDA1", "123456789012", "AKIA1", "secret")
SESSION = Caller(
    "arn:aws:sts::123456789012:assumed-role/dev/alice", "AROA1:alice", "123456789012", "ASIA1", "secret", "token",
    "arn:aws:iam::123456789012:role/team/dev",
)  # fmt: skip


def policy(effect: str = "Allow", action: object = "*", **more: object) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, **more}]}


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([], ""),
        ([policy(action="s3:Get*", Resource="*")], "allow"),
        ([policy(action="s3:get*", Resource="arn:aws:s3:::b/*")], "allow"),
        ([policy(action="s3:Put*", Resource="*")], ""),
        ([policy(action="s3:GetObject", Resource="arn:aws:s3:::other/*")], ""),
        ([policy(action="*", Resource="*"), policy("Deny", "s3:*", Resource="*")], "deny"),
        ([policy("Deny", "s3:*", Resource="arn:aws:s3:::other/*"), policy(action="*", Resource="*")], "allow"),
        ([policy(action="s3:GetObject", Resource="*", Condition={"StringEquals": {"aws:username": "bob"}})], ""),
        (
            [policy(action="s3:GetObject", Resource="*", Condition={"StringEquals": {"aws:username": ["bob", "alice"]}})],
            "allow",
        ),
        ([policy(action="s3:GetObject", Resource="*", Condition={"DateGreaterThan": {"aws:CurrentTime": "2020"}})], ""),
        ([policy(action="s3:GetObject", Resource="*", Condition={"StringEqualsIfExists": {"aws:nothing": "x"}})], "allow"),
        ([policy(action="[s3]*", Resource="*")], ""),
        ([{"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}], "allow"),
        ([{"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}}], ""),
    ],
)
def test_identity_policies(documents, said):
    context = {"aws:username": "alice"}
    assert decide(documents, "s3:GetObject", "arn:aws:s3:::b/key", context) == said


@pytest.mark.parametrize(
    ("principal", "caller", "said"),
    [
        ({"AWS": ALICE.arn}, ALICE, "allow"),
        ({"AWS": ["arn:aws:iam::123456789012:user/bob", ALICE.arn]}, ALICE, "allow"),
        ({"AWS": "arn:aws:iam::123456789012:user/bob"}, ALICE, ""),
        ({"AWS": "arn:aws:iam::123456789012:root"}, ALICE, "account"),
        ({"AWS": "123456789012"}, ALICE, "account"),
        ({"AWS": "210987654321"}, ALICE, ""),
        ("*", ALICE, "allow"),
        ({"Service": "ec2.amazonaws.com"}, ALICE, ""),
        ({"AWS": SESSION.role}, SESSION, "allow"),
        ({"AWS": SESSION.arn}, SESSION, "allow"),
        ({"AWS": ALICE.arn}, SESSION, ""),
        (None, ALICE, ""),
    ],
)
def test_trust_policies(principal, caller, said):
    assert trusts(policy(action="sts:AssumeRole", Principal=principal), "sts:AssumeRole", caller, {}) == said


def test_a_trust_policy_may_deny_and_may_want_an_external_id():
    allowed = policy(action="sts:AssumeRole", Principal={"AWS": "*"}, Condition={"StringEquals": {"sts:ExternalId": "42"}})
    assert trusts(allowed, "sts:AssumeRole", ALICE, {}) == ""
    assert trusts(allowed, "sts:AssumeRole", ALICE, {"sts:ExternalId": "42"}) == "allow"
    both = {"Statement": [*policy(Principal="*")["Statement"], *policy("Deny", Principal={"AWS": ALICE.arn})["Statement"]]}
    assert trusts(both, "sts:AssumeRole", ALICE, {}) == "deny"


def test_a_web_identity_is_trusted_by_its_provider():
    document = policy(action="sts:AssumeRoleWithWebIdentity", Principal={"Federated": "arn:provider"})
    assert trusts(document, "sts:AssumeRoleWithWebIdentity", None, {}, "arn:provider") == "allow"
    assert trusts(document, "sts:AssumeRoleWithWebIdentity", None, {}, "arn:another") == ""
    assert trusts(document, "sts:AssumeRoleWithWebIdentity", ALICE, {}) == ""
