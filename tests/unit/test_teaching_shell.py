"""The lab's own `!command`, in real kernels: what a learner types, what the cell holds afterwards."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import psutil
import pytest

INSTALL = "from IPython import get_ipython\nfrom lab_helpers.teaching import shell\nshell.install(get_ipython())"


@pytest.fixture(scope="module")
def kernel(kernels):
    made = kernels()
    made.run(INSTALL)
    return made


def test_output_streams_into_the_cell(kernel):
    assert kernel.run("!echo one; echo two >&2").text == "one\ntwo\n"


def test_a_failure_is_one_panel_and_fails_the_cell(kernel):
    ran = kernel.run("!echo no such pod >&2; exit 3\nprint('never')")
    assert ran.error == "CommandFailed"
    assert len(ran.panels) == 1
    assert "exit code 3" in ran.panels[0]["text/plain"] and "no such pod" in ran.panels[0]["text/plain"]
    assert "role='alert'" in ran.panels[0]["text/html"]
    assert "never" not in ran.text
    assert kernel.run("print(shell.last_failure, _exit_code)").text == "no such pod 3\n"


def test_a_failed_pipe_fails_and_a_closed_one_does_not(kernel):
    assert kernel.run("!false | cat").error == "CommandFailed"
    assert kernel.run("!yes | head -1").text == "y\n"


def test_braces_and_dollars_reach_the_program_untouched(kernel):
    said = kernel.run("web = 'python'\n!echo '{{.name}} {.items[0]} $web' ${HOME:+set} {web}").text
    assert said == "{{.name}} {.items[0]} $web set {web}\n"


def test_output_can_be_kept_in_a_variable(kernel):
    assert kernel.run("names = !printf 'a\\nb\\n'\nprint(list(names), names.s)").text == "['a', 'b'] a b\n"
    assert kernel.run("names = !ls /no/such/folder").error == "CommandFailed"


def test_a_program_sees_a_terminal_of_120_columns(kernel):
    assert kernel.run("!test -t 1 && tput cols").text == "120\n"


def test_the_kernels_environment_is_the_commands(kernel):
    assert kernel.run("import os; os.environ['LAB_TEST'] = 'ä b'\n!echo $LAB_TEST").text == "ä b\n"


def test_bash_cells_stop_at_the_first_failure(kernel):
    ran = kernel.run("%%bash\necho before\nfalse | cat\necho after")
    assert ran.error == "CommandFailed" and "before" in ran.text and "after" not in ran.text
    assert kernel.run("%%bash --no-raise-error\nfalse\necho after").text == "after\n"
    ran = kernel.run("%%bash --bg\nls")
    assert ran.error == "CommandFailed" and "--bg" in ran.panels[0]["text/plain"]
    assert kernel.run("%%bash\nname=web\necho ${name}-1 {{.x}}").text == "web-1 {{.x}}\n"


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("sleep 60 &", "drop the &"),
        ("cd /tmp", "%cd"),
        ("export A=1", "%env"),
        ("kubectl edit deployment web", "lab shell"),
    ],
)
def test_what_cannot_work_in_a_cell_is_refused_with_the_way_that_works(kernel, typed, remedy):
    ran = kernel.run(f"!{typed}")
    assert ran.error == "CommandFailed" and remedy in ran.panels[0]["text/plain"]


def test_a_cd_before_another_command_is_fine(kernel):
    assert kernel.run("!cd /tmp && pwd").text == "/tmp\n"


def test_a_typing_error_gets_the_nearest_program(kernel):
    folder = kernel.folder / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text("#!/bin/sh\n")
    (folder / "kubectl").chmod(0o755)
    ran = kernel.run(f"import os; os.environ['PATH'] = {str(folder)!r} + ':' + os.environ['PATH']\n!kubctl get pods")
    assert "did you mean kubectl?" in ran.panels[0]["text/plain"]
    assert "lab doctor" in kernel.run("!frobnicate").panels[0]["text/plain"]


def test_nothing_in_the_background_outlives_its_cell(kernel):
    began = time.monotonic()
    pid = int(kernel.run("%%bash\nsleep 300 &\necho $!").text)
    assert time.monotonic() - began < 10
    kernel.until(lambda: not psutil.pid_exists(pid))


@pytest.mark.parametrize("typed", ["!echo started > {}; sleep 300", "!trap '' INT; echo started > {}; sleep 300; sleep 300"])
def test_stop_ends_the_command_and_the_cell(kernel, typed, tmp_path):
    """Also where the command ignores the first signal."""
    started = tmp_path / "started"

    def stop() -> None:
        kernel.until(lambda: started.exists() and started.read_text())
        kernel.interrupt()

    presser = threading.Thread(target=stop)
    presser.start()
    ran = kernel.run(typed.format(started) + "\nprint('never')")
    presser.join()
    assert ran.error == "KeyboardInterrupt"
    assert "never" not in ran.text
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]


def test_any_failed_cell_is_remembered(kernel):
    kernel.run("{}['spec']")
    assert kernel.run("print(shell.last_failure)").text == "KeyError: 'spec'\n"


def test_much_output_arrives_whole(kernel):
    assert kernel.run("!seq 60000").text == "".join(f"{number}\n" for number in range(1, 60001))


def test_of_long_output_the_panel_keeps_beginning_and_end(kernel):
    ran = kernel.run("!echo the first word says why; seq 100000; exit 3")
    panel = ran.panels[0]["text/plain"]
    assert "the first word says why" in panel and "100000" in panel and len(panel) < 1000
    shown = panel[panel.index("\nthe first word") + 1 : panel.rindex("100000") + len("100000")]
    (gap,) = re.findall(r"\n… ([\d,]+) characters left out …\n", shown)
    whole = "the first word says why\n" + "\n".join(map(str, range(1, 100001)))
    assert int(gap.replace(",", "")) == len(whole) - len(re.sub(r"\n….*…\n", "", shown))
    ran = kernel.run("!printf 'é%.0s' {1..700}; exit 3")
    assert "left out" not in ran.panels[0]["text/plain"]


def test_install_twice_does_no_harm(kernel):
    kernel.run(INSTALL)
    assert len(kernel.run("!exit 4").panels) == 1
    assert Path(os.devnull).exists()
