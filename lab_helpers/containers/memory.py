"""A memory limit without an engine: a cgroup where this user may make one, otherwise a limit on addresses.

The two are not the same, and what is said after a run says which it was. A cgroup counts the memory that a group of
processes really uses; over the limit the kernel kills. RLIMIT_AS counts the addresses that one process asks for, used or
not; over the limit the request is refused, and nobody is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
_ROOT = Path("/sys/fs/cgroup")


@dataclass
class Limit:
    """One way to limit memory.

    Attributes:
        name: `cgroup`, `systemd` or `addresses`.
        says: one sentence for the learner.
        group: the cgroup that was made, where it is ours to read.
    """

    name: str
    says: str
    parent: Path | None = None
    group: Path | None = field(default=None)

    def begin(self, mib: int) -> list[str]:
        """Prepare; the words that come before the command."""
        if self.name == "systemd":
            return [*_systemd(), "-p", f"MemoryMax={mib}M", "-p", "MemorySwapMax=0"]
        if self.name == "addresses":
            return ["prlimit", f"--as={mib * MIB}"]
        assert self.parent
        self.group = self.parent / f"eks-lab-{secrets.token_hex(3)}"
        self.group.mkdir()
        _limit(self.group, mib)
        # The shell goes into the group by itself, then becomes the command.
        return ["sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh"]

    def end(self, code: int) -> tuple[bool, str]:
        """Tidy up: whether the kernel killed for want of memory, and what is to be said of it."""
        if self.name == "addresses":
            words = "RLIMIT_AS: over the limit the program's request for addresses is refused; nobody is killed."
            return False, words if code else ""
        if self.name == "systemd":
            killed = code == 137
            return killed, "killed by the kernel (SIGKILL): its cgroup was out of memory" if killed else ""
        assert self.group
        kills, peak = _kills(self.group), _peak(self.group)
        _remove(self.group)
        words = f"the kernel killed it: out of memory in its cgroup (oom_kill {kills})" if kills else ""
        return bool(kills), "; ".join(part for part in (words, f"peak {peak} MiB" if peak else "") if part)


def best() -> Limit:
    """The best that this user may do here, found by doing it."""
    for parent in _parents():
        probe = Limit("cgroup", "Memory is limited by a cgroup of its own, as every engine does it.", parent)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            try:
                words = probe.begin(32)
                # It counts only where the limit is there and a process may go in.
                subprocess.run([*words, "true"], check=True, capture_output=True, timeout=10)
                return Limit("cgroup", probe.says, parent)
            finally:
                if probe.group:
                    _remove(probe.group)
    if _systemd_works():
        return Limit("systemd", "Memory is limited by a cgroup that systemd makes for you (systemd-run --scope).")
    return Limit(
        "addresses",
        "This user may make no cgroup here, so memory is limited by RLIMIT_AS (prlimit): it counts addresses rather than "
        "memory in use, and refuses instead of killing. An engine, or systemd, would give the real thing.",
    )


def _parents() -> list[Path]:
    """Groups below which a group with a memory limit might be made."""
    own: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            own.update(dict.fromkeys(kinds.split(","), path.lstrip("/")))
    if "memory" in own:  # version 1
        return [_ROOT / "memory" / own["memory"]]
    here = _ROOT / own.get("", "")
    # Version 2: a group with processes in it passes nothing on, but its parent may.
    return [place for place in (here, here.parent) if "memory" in _read(place / "cgroup.subtree_control").split()]


def _limit(group: Path, mib: int) -> None:
    if (group / "memory.max").exists():
        (group / "memory.max").write_text(str(mib * MIB))
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (group / "memory.swap.max").write_text("0")
        return
    (group / "memory.limit_in_bytes").write_text(str(mib * MIB))
    with contextlib.suppress(OSError):
        (group / "memory.memsw.limit_in_bytes").write_text(str(mib * MIB))


def _kills(group: Path) -> int:
    words = _read(group / "memory.events") or _read(group / "memory.oom_control")
    found = re.search(r"^oom_kill (\d+)", words, re.M)
    return int(found[1]) if found else 0


def _peak(group: Path) -> int:
    """In MiB; 0 where the kernel does not say."""
    words = _read(group / "memory.peak") or _read(group / "memory.max_usage_in_bytes")
    return round(int(words) / MIB) if words.strip().isdigit() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _remove(group: Path) -> None:
    """A group is busy for a moment after its last process has ended."""
    end = time.monotonic() + 5
    while True:
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _systemd() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user"]
    return ["systemd-run", *user, "--scope", "--quiet", "--collect"]


def _systemd_works() -> bool:
    if not shutil.which("systemd-run"):
        return False
    show = 'cat /sys/fs/cgroup"$(sed -n s/^0:://p /proc/self/cgroup)"/memory.max'
    command = [*_systemd(), "-p", "MemoryMax=32M", "sh", "-c", show]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and done.stdout.strip() == str(32 * MIB)
