"""Work in the background says here that the account has changed: whoever saves the state listens."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    """Have `listener` called after each change that no call of the API made by itself."""
    if listener not in _listeners:
        _listeners.append(listener)


def changed() -> None:
    """Something changed."""
    for listener in list(_listeners):
        listener()
