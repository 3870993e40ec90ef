"""A role for a service account, by eksctl's own commands: who has the cluster's token gets the role, and nobody else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

CLUSTER = "--cluster eks-oidc --region us-east-1"
ACCOUNT = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


@pytest.fixture(scope="module")
def role(typed) -> str:
    """The role that eksctl makes for the service account `reader`."""
    typed("eksctl create cluster --name eks-oidc --region us-east-1 --without-nodegroup")
    said = typed(f"eksctl utils associate-iam-oidc-provider {CLUSTER} --approve")
    assert 'created IAM Open ID Connect provider for cluster "eks-oidc"' in said
    typed(f"eksctl create iamserviceaccount {CLUSTER} --name reader --attach-policy-arn {ACCOUNT} --approve")
    account = json.loads(typed("kubectl get serviceaccount reader -o json"))
    return str(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"])


def assume(typed, role: str, token: str, code: int = 0) -> str:
    words = f"aws sts assume-role-with-web-identity --role-session-name pod --role-arn {role} --web-identity-token {token}"
    return typed(words, code)


def token(typed, account: str = "reader", audience: str = "sts.amazonaws.com") -> str:
    return typed(f"kubectl create token {account} --audience {audience}").strip()


def test_its_pods_are_the_role(typed, role, aws):
    """As in a Pod: two variables and a file are all that the AWS CLI has."""
    file = Path(aws.home) / "token"
    file.write_text(token(typed))
    pod = {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    said = typed("aws sts get-caller-identity", **pod, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert f"assumed-role/{role.rpartition('/')[2]}/" in said


def test_the_issuer_publishes_the_keys_that_signed(typed, role):
    issuer = json.loads(typed("aws eks describe-cluster --name eks-oidc"))["cluster"]["identity"]["oidc"]["issuer"]
    found = json.loads(typed(f"curl --silent --fail {issuer}/.well-known/openid-configuration"))
    assert (found["issuer"], found["jwks_uri"]) == (issuer, f"{issuer}/keys")
    assert json.loads(typed(f"curl --silent --fail {found['jwks_uri']}"))["keys"]
    assert "404" in typed(f"curl --silent --output /dev/null --write-out %{{http_code}} {issuer[:-1]}x/keys")


def test_nobody_else_is(typed, role):
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in assume(typed, role, token(typed, "default"), 255)
    assert "Incorrect token audience" in assume(typed, role, token(typed, audience="someone"), 255)
    head, body, signature = token(typed).split(".")
    forged = ".".join([head, body, signature[:-8] + ("AAAAAAAA" if not signature.endswith("AAAAAAAA") else "BBBBBBBB")])
    assert "signature is not that of" in assume(typed, role, forged, 255)
    assert "not a valid JWT" in assume(typed, role, "no.token", 255)


def test_eksctl_takes_it_away_again(typed, role):
    good = token(typed)
    typed(f"eksctl delete iamserviceaccount {CLUSTER} --name reader --wait")
    assert "Not authorized" in assume(typed, role, good, 255)
    arn = json.loads(typed("aws iam list-open-id-connect-providers"))["OpenIDConnectProviderList"][0]["Arn"]
    typed(f"aws iam delete-open-id-connect-provider --open-id-connect-provider-arn {arn}")
    assert "No OpenIDConnect provider found in your account for https://oidc.eks" in assume(typed, role, good, 255)
