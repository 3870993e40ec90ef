"""A request held against botocore's model of EKS: what is missing, of the wrong kind, or not among the values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lab_helpers.eks.model.errors import invalid

_KINDS: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
}


def check(shape: Any, value: Any) -> None:
    """Raise InvalidParameterException for the first thing that a request has wrong.

    Args:
        shape: botocore's shape of the operation's input.
        value: the request's parameters.
    """
    for words in _faults(shape, value, ""):
        raise invalid(words)


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    kinds = _KINDS.get(shape.type_name)
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        yield f"{path or 'The request'} must be of type {shape.type_name}."
        return
    if shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Missing required parameter: {path + '.' if path else ''}{name}"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _faults(member, value[name], f"{path + '.' if path else ''}{name}")
    elif shape.type_name == "list":
        yield from _sized(shape, len(value), path, "items")
        for item in value:
            yield from _faults(shape.member, item, path)
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _faults(shape.key, key, path)
            yield from _faults(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _text(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            yield f"{path} must be between {low} and {high}."


def _text(shape: Any, value: str, path: str) -> Iterator[str]:
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        yield f"Value {value!r} at {path} is not valid. Allowed: {', '.join(allowed)}"
        return
    yield from _sized(shape, len(value), path, "characters")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"The {path} parameter contains invalid characters. It should match {pattern}"


def _sized(shape: Any, size: int, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low and size < low) or (high and size > high):
        yield f"{path} must have between {low or 0} and {high} {what}."
