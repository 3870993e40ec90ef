"""Who calls: the principal behind an access key, and the one whose request is being answered."""

from __future__ import annotations

import datetime
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A principal of the account.

    Attributes:
        arn: as STS gives it: of a user, or of an assumed role's session.
        user_id: the unique id behind it, for instance `AIDA…` or `AROA…:session`.
        account: twelve digits.
        key: the access key's id.
        secret: what requests are signed with; never logged.
        token: the session token of temporary credentials, or empty.
        role: the ARN of the assumed role, or empty.
        expires: when temporary credentials end.
    """

    arn: str
    user_id: str
    account: str
    key: str
    secret: str
    token: str = ""
    role: str = ""
    expires: datetime.datetime | None = None

    @property
    def principal(self) -> str:
        """The IAM principal: the user, or the role that was assumed."""
        return self.role or self.arn

    @property
    def name(self) -> str:
        """The user's name, or the session's."""
        return self.arn.rpartition("/")[2]

    def __repr__(self) -> str:  # the secret must not get into a log with it
        return f"Caller({self.arn})"


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current() -> Caller | None:
    """Who sent the request that this thread answers; None for work of the lab's own."""
    return _current.get()


def become(caller: Caller | None) -> None:
    """Answer for that caller from now on, in this thread."""
    _current.set(caller)


def find(key: str) -> Caller | None:
    """The principal of an access key that the account holds and that is active, or None."""
    from moto.iam.models import get_account_id_from, iam_backends
    from moto.sts.models import sts_backends

    for account in list(sts_backends.values()):
        for session in list(account["aws"].assumed_roles):
            if session.access_key_id == key:
                return Caller(
                    arn=session.arn,
                    user_id=session.user_id,
                    account=session.account_id,
                    key=key,
                    secret=session.secret_access_key,
                    token=session.session_token,
                    role=session.role_arn,
                    expires=session.expiration.replace(tzinfo=datetime.UTC),
                )
    account = get_account_id_from(key)
    backend = iam_backends[account]["aws"]
    user = backend.get_user_from_access_key_id(key)
    secret = next((held for held in user.access_keys if held.access_key_id == key), None) if user else None
    if user is None or secret is None or secret.status != "Active":
        return None
    return Caller(user.arn, user.id, account, key, secret.secret_access_key)
