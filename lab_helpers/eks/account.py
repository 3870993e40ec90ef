"""The account as it begins: an administrator with a key, and what AWS publishes of its own in every account."""

from __future__ import annotations

from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
ADMINISTRATOR = "lab-admin"


def begin(key: str, secret: str) -> None:
    """Make the administrator, with this access key; there already: nothing changes."""
    from moto.iam.models import iam_backends

    iam: Any = iam_backends[ACCOUNT]["aws"]
    if ADMINISTRATOR not in iam.users:
        iam.create_user(REGION, ADMINISTRATOR)
        iam.attach_user_policy("arn:aws:iam::aws:policy/AdministratorAccess", ADMINISTRATOR)
    user = iam.users[ADMINISTRATOR]
    if not any(held.access_key_id == key for held in user.access_keys):
        made = iam.create_access_key(ADMINISTRATOR)
        iam.access_keys.pop(made.access_key_id, None)
        made.access_key_id, made.secret_access_key = key, secret
        iam.access_keys[key] = made
