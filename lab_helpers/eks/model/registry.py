"""Which operation of EKS is answered by which function: the documentation's table of operations is made from this."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab_helpers.eks.model.account import Account

Parameters = dict[str, Any]
Result = dict[str, Any]
Operation = Callable[["Account", Parameters], Result]

OPERATIONS: dict[str, Operation] = {}
NOT_PLAYED: dict[str, str] = {}
"""Operation → why it is refused."""


def operation(function: Operation) -> Operation:
    """Register a function as the operation of its name: `create_cluster` answers CreateCluster."""
    OPERATIONS["".join(word.capitalize() for word in function.__name__.split("_"))] = function
    return function


def pages(items: list[Any], parameters: Parameters, key: str) -> Result:
    """One page of a list, with `nextToken` where more follow.

    Raises:
        EksError: a token that no answer gave.
    """
    from lab_helpers.eks.model.errors import invalid

    token = parameters.get("nextToken")
    if token and not str(token).isdigit():
        raise invalid("The nextToken parameter is not valid.")
    first, size = int(token or 0), int(parameters.get("maxResults") or 100)
    rest = {"nextToken": str(first + size)} if first + size < len(items) else {}
    return {key: items[first : first + size], **rest}
