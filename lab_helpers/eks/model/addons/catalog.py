"""Which add-ons there are, in which versions, with which settings: catalog.yaml."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab_helpers.eks.model.errors import invalid

FOLDER = Path(__file__).parent
_KINDS: dict[str, tuple[type, ...]] = {"object": (dict,), "array": (list,), "string": (str,), "integer": (int,)}


@cache
def table() -> dict[str, dict[str, Any]]:
    """Add-on → type, versions, settings, and what else catalog.yaml says."""
    return dict(yaml.safe_load((FOLDER / "catalog.yaml").read_text())["addons"])


def versions(name: str, minor: str) -> list[str]:
    """An add-on's versions for a minor, newest first; the first one is the default."""
    rows = table()[name]["versions"] if name in table() else []
    return [row["version"] for row in rows if minor in row["for"]]


_REAL = {"kube-proxy": "registry.k8s.io/kube-proxy", "coredns": "registry.k8s.io/coredns/coredns"}
_IMAGE = re.compile(r"602401143452\.dkr\.ecr\.REGION\.amazonaws\.com[^\"\s]+")


def images(region: str) -> dict[str, str]:
    """Every image that an add-on of this region names → what it is on a real node, without a tag.

    kube-proxy and CoreDNS are the programs themselves, in the version that the node has; the others exist in AWS's registry
    alone, and something stands in for them that says so.
    """
    found: dict[str, str] = {}
    for name, row in table().items():
        for image in _IMAGE.findall((FOLDER / f"{name}.yaml").read_text()):
            for tag in (*(one["version"] for one in row["versions"]), *row.get("images", ())):
                full = image.replace("REGION", region).replace("VERSION", tag)
                found[full] = _REAL.get(name, "lab.local/idle")
    return found


def known(name: str, version: str) -> bool:
    """Whether there is such a version, for any minor."""
    return name in table() and any(row["version"] == version for row in table()[name]["versions"])


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of an add-on's configurationValues."""
    properties = {key: {"type": kind} for key, kind in table()[name]["settings"].items()}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/Configuration"}
    return {
        **head,
        "definitions": {"Configuration": {"type": "object", "additionalProperties": False, "properties": properties}},
    }


def settings(name: str, text: str, **members: Any) -> dict[str, Any]:
    """configurationValues, read (JSON or YAML) and held against the schema.

    Raises:
        EksError: in EKS's words.
    """
    words = "ConfigurationValue provided in request is not supported"
    try:
        values: Any = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text) or {}
    except (ValueError, yaml.YAMLError):
        raise invalid(f"{words}: it is neither JSON nor YAML", **members) from None
    if not isinstance(values, dict):
        raise invalid(f"{words}: it is no object", **members)
    for key, value in values.items():
        kind = table()[name]["settings"].get(key)
        if kind is None:
            fault = f"$.{key}: is not defined in the schema and the schema does not allow additional properties"
        elif not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
            fault = f"$.{key}: {type(value).__name__} found, {kind} expected"
        else:
            continue
        raise invalid(f"{words}: Json schema validation failed with error: [{fault}]", **members)
    return values
