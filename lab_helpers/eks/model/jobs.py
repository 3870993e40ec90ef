"""Work that takes longer than a call. It is on record in the account, so that a new process goes on with it.

A job is a function of the account and plain values. It must be able to begin again at any point: the process may be
killed in the middle, and then `resume` calls it with the same values.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lab_helpers.eks.changes import changed

if TYPE_CHECKING:
    from lab_helpers.eks.model.account import Account

Job = Callable[..., None]

_JOBS: dict[str, Job] = {}
_log = logging.getLogger(__name__)


def job(function: Job) -> Job:
    """Register a job under its function's name."""
    _JOBS[function.__name__] = function
    return function


def start(account: Account, function: Job, *values: Any) -> threading.Thread:
    """Run a job in the background; join the thread to wait for it."""
    number = str(uuid4())
    account.jobs[number] = (function.__name__, values)
    return _run(account, number)


def resume(account: Account) -> list[threading.Thread]:
    """Go on with what was not finished when the account was saved."""
    return [_run(account, number) for number in list(account.jobs)]


def _run(account: Account, number: str) -> threading.Thread:
    name, values = account.jobs[number]

    def work() -> None:
        try:
            _JOBS[name](account, *values)
        except Exception:
            _log.exception("%s%r failed", name, values)
        finally:
            account.jobs.pop(number, None)
            changed()

    thread = threading.Thread(target=work, name=f"eks {name}", daemon=True)
    thread.start()
    return thread
