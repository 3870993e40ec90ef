"""Who changes the account says so here; the endpoint then saves it, and whoever listens looks again."""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[str], None]

_listeners: list[Listener] = []


def changed(service: str = "eks") -> None:
    """Something in a service of the account has changed: by a call, or by itself."""
    for listener in list(_listeners):
        listener(service)


def listen(listener: Listener) -> None:
    """Call `listener` with the service's name at each change, in the thread that made it: it has to be quick."""
    _listeners.append(listener)


def ignore(listener: Listener) -> None:
    """Stop calling it."""
    if listener in _listeners:
        _listeners.remove(listener)
