"""moto's catalogue of EC2 instance types, as Kubernetes nodes."""

from __future__ import annotations

from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab_helpers.eks import shapes
from lab_helpers.eks.shapes import Shape

__all__ = ["Shape", "architecture", "known", "shape"]


def known(kind: str) -> bool:
    """Whether there is such an instance type."""
    return kind in INSTANCE_TYPES


def shape(kind: str) -> Shape:
    """An instance type as a node.

    Raises:
        KeyError: there is no such type.
    """
    return shapes.shape(INSTANCE_TYPES[kind])


def architecture(kind: str) -> str:
    """amd64 or arm64."""
    return shapes.architecture(INSTANCE_TYPES[kind])
