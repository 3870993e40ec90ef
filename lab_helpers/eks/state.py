"""What the account holds, kept over a restart: moto keeps all of it in memory.

The file is moto's objects, pickled. Reading a pickle runs code, so it lies in the endpoint's own folder (0700), is 0600,
and carries a keyed checksum; it is only read by the version of moto that wrote it. One that cannot be read is set aside.
"""

from __future__ import annotations

import copyreg
import hashlib
import hmac
import io
import os
import pickle
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lab_helpers.eks import files

SERVICES = (
    "ec2",
    "efs",
    "iam",
    "sts",
    "eks",
    "cloudformation",
    "autoscaling",
    "ecr",
    "elb",
    "elbv2",
    "sqs",
    "events",
    "s3",
    "kms",
    "logs",
)
"""Of moto's services, those whose content is kept. SSM holds functions: what it says is made anew at each start."""


class Unreadable(Exception):
    """A saved state that cannot be used; the message says why."""


def _lock(_: Any) -> tuple[Any, tuple[()]]:
    return threading.RLock, ()


copyreg.pickle(type(threading.RLock()), _lock)  # ECR holds one
copyreg.pickle(type(threading.Lock()), lambda _: (threading.Lock, ()))


def version() -> str:
    """What a saved state has to fit: moto's version, and this layout's."""
    import moto

    return f"1:{moto.__version__}"


def capture() -> bytes:
    """The whole account as it is now.

    Raises:
        RuntimeError: it changed while it was read; try again.
    """
    import moto.backends

    held: dict[str, dict[str, dict[str, Any]]] = {}
    for service in SERVICES:
        if f"moto.{service}.models" not in sys.modules:
            continue  # nobody has used it: importing it costs a second
        accounts = moto.backends.get_backend(service)
        held[service] = {account: _kept(regions) for account, regions in list(accounts.items())}
    out = io.BytesIO()
    pickle.dump(held, out, protocol=pickle.HIGHEST_PROTOCOL)
    return out.getvalue()


def _kept(regions: dict[str, Any]) -> dict[str, Any]:
    """Without the other partitions: moto looks for a key in China's IAM too, and so makes it with its 1,582 policies (4 MB
    for each of five partitions, saved after each change)."""
    return {name: backend for name, backend in list(regions.items()) if not name.startswith("aws-")}


def restore(content: bytes) -> None:
    """Put a captured account in the place of moto's empty one."""
    import moto.backends

    for service, accounts in pickle.loads(content).items():
        backends = moto.backends.get_backend(service)
        for account, regions in accounts.items():
            for region, backend in regions.items():
                dict.__setitem__(backends[account], region, backend)


def save(folder: Path) -> None:
    """Save the account to `state` under a folder, atomically."""
    content = capture()
    head = f"{version()} {_sum(folder, content)}\n".encode()
    files.write(folder / "state", head + content)


def load(folder: Path) -> bool:
    """Load what was saved; False where there is nothing.

    Raises:
        Unreadable: of another version, damaged, or not ours; it has been set aside, and the message says where.
    """
    path = folder / "state"
    if not path.exists():
        return False
    why = ""
    try:
        head, _, content = path.read_bytes().partition(b"\n")
        said, _, checksum = head.decode(errors="replace").partition(" ")
        if path.stat().st_uid != os.getuid():
            why = "it belongs to another user"
        elif said != version():
            why = f"it is of another version ({said[:40]}, this is {version()})"
        elif not hmac.compare_digest(checksum, _sum(folder, content)):
            why = "it is damaged"
        else:
            restore(content)
    except Exception as error:  # whatever a pickle may raise
        why = f"{type(error).__name__}: {error}"
    if why:
        aside = path.with_name(f"state.unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
        path.replace(aside)
        raise Unreadable(f"The saved account could not be read: {why}. It was set aside: {aside}")
    return True


def _sum(folder: Path, content: bytes) -> str:
    key = folder / "state.key"
    if not key.exists():
        files.write(key, secrets.token_bytes(32))
    return hmac.new(key.read_bytes(), content, hashlib.sha256).hexdigest()
