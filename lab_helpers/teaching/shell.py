"""The lab's own `!command`, `x = !command` and `%%bash`: they stream, Stop works, and a failure raises.

Nothing between braces or behind a dollar is replaced by Python: go-templates and jsonpath reach the program as typed.
Stock IPython's `!` swallows both the failure and the Stop button.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
from typing import Any

from lab_helpers.errors import CommandFailed

FINE = {0, 141}  # 141: `command | head` closed the pipe
COLUMNS, GRACE, TAIL = 120, 2.0, 4000
last_failure = ""
"""What the last failed command said, for `lab.last_error`."""

_PROGRAMS = ("kubectl", "etcdctl", "etcdutl", "kwokctl", "lab", "curl", "jq", "grep")


def run(command: str, *, terminal: bool = True, echo: bool = True, strict: str = "set -o pipefail") -> tuple[int, str]:
    """Run a command in bash, its output live on stdout.

    Args:
        terminal: give it a terminal, so that programs colour their output and flush each line.
        echo: write the output through; otherwise it is only returned.

    Returns:
        Exit code, and the last 4,000 characters of output (all of it where nothing is echoed).

    Raises:
        KeyboardInterrupt: the Stop button; the command was asked to end, and made to after 2 s.
    """
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST  # no \r\n in the stored output
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
    env = {**os.environ, "COLUMNS": str(COLUMNS), "PAGER": "cat", "TERM": "xterm-256color" if terminal else "dumb"}
    words = ["bash", "-c", f"{strict}\n{command}"]
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    text, stopped = _stream(child, ours, echo)
    if stopped:
        raise KeyboardInterrupt(command.strip())
    return child.wait(), text


def _stream(child: subprocess.Popen[bytes], ours: int, echo: bool) -> tuple[str, bool]:
    decoder, text, stopped = codecs.getincrementaldecoder("utf-8")("replace"), "", False
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # EIO: the last writer of the terminal closed it
            break
        except KeyboardInterrupt:
            _kill(child, signal.SIGKILL if stopped else signal.SIGINT)
            threading.Timer(GRACE, _kill, [child, signal.SIGKILL]).start()
            stopped = True
            continue
        if not chunk:
            break
        new = decoder.decode(chunk)
        if echo:
            sys.stdout.write(new)
            sys.stdout.flush()
        text = (text + new)[-TAIL:] if echo else text + new
    os.close(ours)
    child.wait()
    return text, stopped


def _kill(child: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if child.poll() is None:
            os.killpg(child.pid, sign)


def failure(command: str, code: int, tail: str) -> CommandFailed:
    """The error for a command that ended badly."""
    what = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    seen = f"$ {command.strip()[:300]}\n{tail.strip()[-600:]}"
    return CommandFailed(f"The command failed ({what}).", seen, _advice(command, code, tail), code=code)


def _advice(command: str, code: int, tail: str) -> str:
    if code == 127 and (match := re.search(r"(\S+): command not found", tail)):
        name = match[1]
        near = difflib.get_close_matches(name, [program for program in _PROGRAMS if shutil.which(program)], 1, 0.6)
        return f"did you mean {near[0]}?" if near else f"{name} is not on this machine: lab doctor"
    if "connection refused" in tail.lower() or "was refused - did you specify" in tail:
        return "the API server does not answer: lab.health() says which component is down, lab.reset() makes a new cluster"
    if re.match(r"\s*cd(\s|$)", command):
        return "a cd in a `!` line ends with that line; %cd stays"
    return "read the program's last line; the cell can be changed and run again"


def install(shell: Any) -> None:
    """Make this kernel's `!`, `x = !…` and `%%bash` the lab's own."""
    from IPython.utils.text import SList

    def finish(command: str, code: int, tail: str) -> None:
        global last_failure
        shell.user_ns["_exit_code"] = code
        if code not in FINE:
            last_failure = tail
            raise failure(command, code, tail)

    def system(command: str) -> None:
        if re.search(r"(?<!&)&\s*$", command):
            raise CommandFailed(
                "A command in the background would outlive its cell.",
                f"$ {command}",
                "drop the & at the end; in a terminal it is fine",
            )
        finish(command, *run(command))

    def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:
        code, output = run(command, terminal=False, echo=False)
        finish(command, code, output)
        return SList(output.splitlines()) if split else output

    def bash(line: str, cell: str) -> None:
        finish(cell, *run(cell, strict="set -eo pipefail"))

    shell.system, shell.getoutput = system, getoutput  # what `!command` and `x = !command` compile to
    shell.register_magic_function(bash, "cell", "bash")
