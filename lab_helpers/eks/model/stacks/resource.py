"""What every resource type shares: names, attributes, properties as the API has them, errors as CloudFormation has them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar

from moto.eks.models import eks_backends

from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.errors import EksError

_PATIENCE = 600.0
_MAPS = ("Labels", "Tags")  # their keys are the customer's
Attributes = dict[str, Callable[[Mapping[str, Any]], Any]]
_NUMBERS = ("Size", "Unavailable", "UnavailablePercentage")


class Resource:
    """One resource of a stack. It holds its identity alone; what it is stands in the account.

    Attributes:
        TYPE: the type's name.
        NAME: the property that is its name; empty: it has none.
        ATTRIBUTES: what Fn::GetAtt gives: name → function of what EKS shows.
    """

    TYPE: ClassVar[str]
    NAME: ClassVar[str] = ""
    ATTRIBUTES: ClassVar[Attributes]
    last: Mapping[str, Any] = MappingProxyType({})  # what EKS showed of it when it was last asked for

    def __init__(self, cluster: str, name: str, account_id: str, region: str) -> None:
        self.cluster, self.name = cluster, name
        self.account_id, self.region = account_id, region

    @property
    def account(self) -> Account:
        """The account that it is in."""
        return account(self.account_id, self.region)

    # What a type has of its own.

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        """Make it; its cluster and its name."""
        raise NotImplementedError

    def change(self, wanted: dict[str, Any]) -> None:
        """Make it so."""

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        """Delete it; it is gone already: nothing."""
        raise NotImplementedError

    def shown(self) -> dict[str, Any]:
        """What EKS shows of it."""
        raise NotImplementedError

    # What moto asks.

    @property
    def physical_resource_id(self) -> str:
        """What `Ref` gives."""
        return f"{self.cluster}|{self.name}"

    @classmethod
    def cloudformation_name_type(cls) -> str:
        """The property that is the name."""
        return cls.NAME

    @classmethod
    def cloudformation_type(cls) -> str:
        """The type's name."""
        return cls.TYPE

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether Fn::GetAtt knows it."""
        return attr in cls.ATTRIBUTES

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives; of what somebody deleted behind the stack's back, what it gave last: outputs stay."""
        with suppress(EksError):
            self.last = dict(self.shown())
        return str(self.ATTRIBUTES[attribute_name](self.last))

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> Any:
        """Make it, and wait."""
        wanted = properties(cloudformation_json)
        if cls.NAME:
            wanted[cls.NAME[0].lower() + cls.NAME[1:]] = resource_name
        try:
            cluster, name = cls.make(account(account_id, region_name), wanted)
        except EksError as error:
            raise _refusal(error) from None
        made = cls(cluster, name, account_id, region_name)
        made.last = dict(made.shown())
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Any:
        """Make it as the new template says, and wait."""
        try:
            original_resource.change(properties(cloudformation_json))
        except EksError as error:
            raise _refusal(error) from None
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        """Delete it, and wait."""
        cluster, _, name = resource_name.replace("/", "|", 1).partition("|") if cls.NAME else resource_name.partition("|")
        where = account(account_id, region_name)
        if cluster in where.clusters:
            cls.remove(where, cluster, name, cloudformation_json["Properties"])


def account(account_id: str, region: str) -> Account:
    """EKS in one region."""
    backends: Any = eks_backends
    found: Account = backends[account_id][region]
    return found


def properties(cloudformation_json: dict[str, Any]) -> dict[str, Any]:
    """A resource's properties with the API's names and kinds of values."""
    given = cloudformation_json["Properties"]
    wanted: dict[str, Any] = {
        _lower(key): _as_api(value) for key, value in given.items() if key not in _MAPS and value is not None
    }
    if labels := given.get("Labels"):
        wanted["labels"] = dict(labels)
    if tags := given.get("Tags"):
        wanted["tags"] = {one["Key"]: one["Value"] for one in tags} if isinstance(tags, list) else dict(tags)
    return wanted


def _lower(key: str) -> str:
    return re.sub("^[A-Z]", lambda first: first.group().lower(), key)


def _as_api(value: Any) -> Any:
    """Templates have numbers and booleans as text; the API has not."""
    if isinstance(value, dict):
        return {_lower(key): _number(key, _as_api(item)) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_as_api(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _number(key: str, value: Any) -> Any:
    return int(value) if key.endswith(_NUMBERS) and isinstance(value, str) and value.isdigit() else value


def _refusal(error: EksError) -> Any:
    return failed(f'Resource handler returned message: "{error.message} (Service: Eks, {error.code})"')


def failed(words: str) -> Any:
    """What ends a stack: raise it."""
    from moto.cloudformation.exceptions import ValidationError  # six seconds of imports, which a stack has paid already

    return ValidationError(message=words)


def wait(done: Callable[[], bool], what: str) -> None:
    """Wait until it is so; what takes longer than CloudFormation's patience ends the stack."""
    end = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > end:
            raise failed(f"{what} did not stabilize")
        time.sleep(0.1)


def finished(where: Account, cluster: str, answer: dict[str, Any]) -> None:
    """Wait for an update; what it failed with ends the stack."""
    shown = answer["update"]
    wait(lambda: shown["status"] != "InProgress", f"Update {shown['id']}")
    if shown["status"] != "Successful":
        raise failed(shown["errors"][0]["errorMessage"] if shown["errors"] else f"Update {shown['id']} was {shown['status']}")
    wait(lambda: where.cluster(cluster).status != "UPDATING", f"Cluster {cluster}")
