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
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

from lab_helpers.errors import CommandFailed, LabError

FINE = {0, 141}  # 141: `command | head` closed the pipe
COLUMNS, GRACE = 120, 2.0
HEAD, TAIL = 1000, 4000  # characters of output that are kept
last_failure = ""
"""What the last failed command or cell said, for `lab.last_error`."""

_PROGRAMS = ("kubectl", "eksctl", "aws", "etcdctl", "etcdutl", "kwokctl", "lab", "curl", "jq", "grep")
_ALONE = re.compile(r"\s*(cd|export|source|alias)\b[^;&|\n]*$")
_REMEDIES = {"cd": "%cd PATH", "export": "%env NAME=value", "source": "%%bash, with both lines in one cell", "alias": "%alias"}
_EDITOR = re.compile(r"^\s*(kubectl\b[^;&|]*\sedit\b|(vi|vim|nano|emacs|less|more|top|htop)\b)")


def run(command: str, *, terminal: bool = True, echo: bool = True, errexit: bool = False) -> tuple[int, str]:
    """Run a command in bash, its output live on stdout. Nothing of it outlives the call.

    Args:
        terminal: give it a terminal, so that programs colour their output and flush each line.
        echo: write the output through; otherwise it is only returned.
        errexit: end at the first command that fails (bash -e).

    Returns:
        Exit code and output; of long output that was echoed, beginning and end.

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
    words = ["bash", *(["-e"] if errexit else []), "-o", "pipefail", "-c", command]
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    stream = _Stream(child, ours, echo)
    try:
        while True:
            try:
                if not stream.step():
                    break
            except KeyboardInterrupt:  # wherever it struck: the loop goes on until the command has ended
                stream.interrupt()
    finally:
        os.close(ours)
    if stream.stop_by:
        raise KeyboardInterrupt(command.strip())
    return child.wait(), stream.text


class _Stream:
    """One command's output on its way to the cell."""

    def __init__(self, child: subprocess.Popen[bytes], ours: int, echo: bool) -> None:
        self.stop_by, self._head, self._tail, self._gone = 0.0, "", "", 0
        self._child, self._ours, self._echo = child, ours, echo
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def text(self) -> str:
        """What was said so far; where much was echoed, beginning and end."""
        return self._head + (_gap(self._gone) if self._gone else "") + self._tail

    def _keep(self, new: str) -> None:
        room = max(0, HEAD - len(self._head)) if self._echo else len(new)
        self._head, rest = self._head + new[:room], self._tail + new[room:]
        self._tail = rest[-TAIL:]
        self._gone += len(rest) - len(self._tail)

    def step(self) -> bool:
        """Pass on what is there; False when the command is over."""
        if self.stop_by and time.monotonic() > self.stop_by:
            self._signal(signal.SIGKILL)
        if not select.select([self._ours], [], [], 0.1)[0]:
            if self._child.poll() is None or select.select([self._ours], [], [], 0)[0]:
                return True
            # bash has ended and somebody still holds its output: what it left in the background ends with it.
            self._signal(signal.SIGKILL)
            return False
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:  # EIO: the last writer of the terminal closed it
            chunk = b""
        new = self._decoder.decode(chunk, final=not chunk)
        self._keep(new)
        if self._echo and new:
            sys.stdout.write(new)
            sys.stdout.flush()
        if not chunk:
            self._wait()
        return bool(chunk)

    def interrupt(self) -> None:
        """The Stop button: ask; pressed again, insist."""
        self._signal(signal.SIGKILL if self.stop_by else signal.SIGINT)
        self.stop_by = time.monotonic() + GRACE

    def _wait(self) -> None:
        # It closed its output and still runs (`exec >&-`): it ends by itself, or by Stop.
        while self._child.poll() is None:
            if self.stop_by and time.monotonic() > self.stop_by:
                self._signal(signal.SIGKILL)
            time.sleep(0.02)

    def _signal(self, sign: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, sign)


_GAP = re.compile(r"\n?… ([\d,]+) characters left out …\n")


def _gap(count: int) -> str:
    return f"\n… {count:,} characters left out …\n"


def shortened(text: str, head: int = 500, tail: int = 1000) -> str:
    """Beginning and end of a text, in whole lines where it has some, and between them how much was left out."""
    if len(text) <= head + tail:
        return text
    first, last = text[:head], text[-tail:]
    first = first[: first.rfind("\n")] if "\n" in first else first
    last = last[last.find("\n") + 1 :] if "\n" in last else last
    middle = text[len(first) : len(text) - len(last)]
    known = sum(int(found[1].replace(",", "")) - len(found[0]) for found in _GAP.finditer(middle))
    return first + _gap(len(middle) + known) + last


def failure(command: str, code: int, said: str, *, echoed: bool = True) -> CommandFailed:
    """The error for a command that ended badly: its first words (which often say why) and its last.

    Args:
        echoed: the output stands above the error already, so fewer of its words are enough.
    """
    what = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    seen = f"$ {command.strip()[:300]}\n{shortened(said.strip(), *((250, 450) if echoed else (500, 1000)))}"
    return CommandFailed(f"The command failed ({what}).", seen, _advice(code, said), code=code)


def _advice(code: int, tail: str) -> str:
    if code == 127 and (match := re.search(r"bash: (?:line \d+: )?([^\s:]+): ", tail)):
        name = match[1]
        near = difflib.get_close_matches(name, [program for program in _PROGRAMS if shutil.which(program)], 1, 0.6)
        if near:
            return f"did you mean {near[0]}?"
        return f"this lab brings no program {name}, and it is not on this machine: lab doctor shows what is here"
    if "connection refused" in tail.lower() or "was refused - did you specify" in tail:
        if os.environ.get("KUBECONFIG", os.devnull) == os.devnull:
            return "no lab with a cluster is open in this notebook: run its first cell, lab = open_lab(…)"
        if not any(Path(path).exists() for path in os.environ["KUBECONFIG"].split(os.pathsep)):
            return "kubectl knows no cluster yet: make one, or: aws eks update-kubeconfig --name NAME"
        return "the API server does not answer: lab.health() says which component is down, lab.reset() makes a new cluster"
    return "read the program's last line; the cell can be changed and run again"


def _refuse(command: str) -> None:
    """Say so where a command cannot do in a `!` line what it does in a terminal."""
    if match := _ALONE.match(command):
        raise CommandFailed(f"A {match[1]} in a `!` line ends with that line.", f"$ {command.strip()}", _REMEDIES[match[1]])
    if re.search(r"(?<!&)&\s*$", command):
        remedy = "drop the & at the end; in a terminal it is fine"
        raise CommandFailed("A command in the background would outlive its cell.", f"$ {command.strip()}", remedy)
    if match := _EDITOR.match(command):
        remedy = "open a terminal (lab shell LAB); for objects: kubectl patch, kubectl apply, kubectl set"
        raise CommandFailed("An editor or pager needs a terminal of its own.", f"$ {command.strip()}", remedy)


def install(shell: Any) -> None:
    """Make this kernel's `!`, `x = !…` and `%%bash` the lab's own. Once is enough, more does no harm."""
    from IPython.utils.text import SList

    if getattr(shell.system, "lab", False):
        return

    def finish(command: str, code: int, tail: str, *, fine: bool = False, echoed: bool = True) -> None:
        shell.user_ns["_exit_code"] = code
        if code not in FINE and not fine:
            error = failure(command, code, tail, echoed=echoed)
            _remember(error, tail)
            raise error

    def system(command: str) -> None:
        _refuse(command)
        finish(command, *run(command))

    def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:
        _refuse(command)
        code, output = run(command, terminal=False, echo=False)
        finish(command, code, output, echoed=False)
        return SList(output.splitlines()) if split else output

    def bash(line: str, cell: str) -> None:
        """%%bash: the cell in bash, with -e and pipefail. Option: --no-raise-error."""
        options = set(line.split())
        if unknown := options - {"--no-raise-error"}:
            raise CommandFailed(f"%%bash has no option {sorted(unknown)[0]}.", line, "%%bash, or %%bash --no-raise-error")
        finish(cell, *run(cell, errexit=not options), fine=bool(options))

    def remember(result: Any) -> None:
        if error := result.error_in_exec or result.error_before_exec:
            _remember(error)

    system.lab = True  # type: ignore[attr-defined]
    shell.system, shell.getoutput = system, getoutput  # what `!command` and `x = !command` compile to
    for name in ("bash", "sh"):
        shell.register_magic_function(bash, "cell", name)
    shell.events.register("post_run_cell", remember)


_remembered: BaseException | None = None


def _remember(error: BaseException, said: str = "") -> None:
    global last_failure, _remembered
    if error is not _remembered:
        own = error.text() if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
        last_failure, _remembered = said.strip() or own, error
