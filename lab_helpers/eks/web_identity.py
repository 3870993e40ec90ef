"""Roles for service accounts: a token that a cluster signed is checked with the keys that its issuer publishes.

Refusals in STS's words: docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html, and as its users
report them.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from lab_helpers.eks import answers, policies, sts
from lab_helpers.eks.answers import Answer
from lab_helpers.eks.requests import Asked
from lab_helpers.eks.signature import Refused

Published = Callable[[str], dict[str, Any] | None]
"""Address → the document there, or None."""

HOST = "oidc.eks."
"""How the hosts of issuers begin."""

ACTION = "sts:AssumeRoleWithWebIdentity"


def document(asked: Asked, published: Published) -> Answer:
    """What the address of an issuer answers to everybody."""
    found = published(f"https://{asked.host.partition(':')[0]}{asked.path}")
    return answers.as_json(found) if found else answers.error(asked, "NotFound", "There is no such issuer.", 404)


def check(asked: Asked, published: Published) -> None:
    """Let the bearer of a token assume a role only where token, provider and role fit.

    Raises:
        Refused: in the order in which STS looks: provider, signature, time, audience, the role's trust policy.
    """
    token, role = asked.form.get("WebIdentityToken", ""), asked.form.get("RoleArn", "")
    issuer = str(_claims(token).get("iss", ""))
    provider = _provider(role, issuer)
    if provider is None:
        raise _invalid(f"No OpenIDConnect provider found in your account for {issuer}")
    claims = _verified(token, published(f"{issuer}/keys"))
    if (end := int(claims.get("exp", 0))) <= time.time():
        words = f"Token expired: current date/time {int(time.time())} must be before the expiration date/time {end}"
        raise Refused("ExpiredTokenException", words, 400)
    given = claims.get("aud", [])
    audience = next((one for one in ([given] if isinstance(given, str) else given) if one in provider.client_id_list), None)
    if audience is None:
        raise _invalid("Incorrect token audience")
    name = issuer.removeprefix("https://")
    context = {f"{name}:aud": audience, f"{name}:sub": str(claims.get("sub", ""))}
    if policies.trusts(sts.trust_policy(role), ACTION, None, context, provider.arn) != "allow":
        raise Refused("AccessDenied", f"Not authorized to perform {ACTION}")


def _claims(token: str) -> dict[str, Any]:
    """What a token says of itself, before anybody has checked it."""
    try:
        part = token.split(".")[1]
        return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    except (IndexError, ValueError, TypeError, binascii.Error):
        raise _invalid("The ID Token provided is not a valid JWT.") from None


def _verified(token: str, keys: dict[str, Any] | None) -> dict[str, Any]:
    if not keys:
        raise _invalid("Couldn't retrieve verification key from your identity provider")
    try:
        return dict(jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256", "ES256"]).claims)  # type: ignore[arg-type]
    except (JoseError, ValueError):
        raise _invalid("The token's signature is not that of one of the issuer's keys") from None


def _provider(role: str, issuer: str) -> Any:
    """The account's identity provider of an issuer, or None."""
    from moto.iam.models import iam_backends

    parts = role.split(":")
    if len(parts) != 6:
        return None
    held = iam_backends[parts[4]]["aws"].open_id_providers
    return next((one for one in list(held.values()) if f"https://{one.url}" == issuer), None)


def _invalid(words: str) -> Refused:
    return Refused("InvalidIdentityToken", words, 400)
