"""EKS's own errors. Each name must be one that botocore's model of EKS has; `answers` sees to what an operation may say."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class EksError(ServiceException):  # type: ignore[misc]
    """An answer that is no success.

    Args:
        code: the error's name in the model of EKS, for instance `ResourceInUseException`.
        words: the message.
        members: further members of the error's shape, for instance `clusterName`.
    """

    def __init__(self, code: str, words: str, **members: Any) -> None:
        super().__init__(code, words)
        for name, value in members.items():
            setattr(self, name, value)


def not_found(words: str, **members: Any) -> EksError:
    """404: no such thing."""
    return EksError("ResourceNotFoundException", words, **members)


def in_use(words: str, **members: Any) -> EksError:
    """409: it is there already, or busy."""
    return EksError("ResourceInUseException", words, **members)


def invalid(words: str, **members: Any) -> EksError:
    """400: a parameter that cannot be."""
    return EksError("InvalidParameterException", words, **members)


def refused(words: str, **members: Any) -> EksError:
    """400: right in itself, but not in this state."""
    return EksError("InvalidRequestException", words, **members)
