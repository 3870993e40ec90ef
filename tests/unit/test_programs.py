"""The programs of the course's images, each run as a container would: `python3 NAME.py` with an environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest

from lab_helpers.clusters.images import FOR_PODS, IMAGES, PROGRAMS_FOLDER, unknown
from lab_helpers.processes import wait_until

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start():
    """`start(image, *arguments, **environment)`: its program as a process."""
    running = []

    def begin(reference: str, *arguments: str, **environment: str) -> subprocess.Popen:
        image = IMAGES[reference]
        env = {"PATH": os.environ["PATH"], "HOSTNAME": "pod-1", **image.env, **environment}
        words = [sys.executable, str(image.file), *arguments]
        running.append(subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def web(start):
    """`web(reference, **environment)`: the process and a function that asks it."""

    def begin(reference: str = "lab.local/web:1.0", **environment: str):
        port = free_port()
        process = start(reference, LAB_PORTS=json.dumps({"8080": port}), LAB_NAMESPACE="shop", **environment)

        def ask(path: str = "/") -> tuple[int, str]:
            try:
                with DIRECT.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return answer.status, answer.read().decode().strip()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode().strip()

        def listens() -> bool:
            try:
                return bool(ask("/hostname"))
            except OSError:
                assert process.poll() is None, process.stdout.read()
                return False

        wait_until(listens, deadline=20, what="the web server")
        return process, ask

    return begin


def test_every_image_has_its_program_and_only_the_standard_library_is_imported():
    for reference, image in IMAGES.items():
        assert reference == image.reference and reference.startswith("lab.local/")
        assert image.file.parent == PROGRAMS_FOLDER and "def main()" in image.file.read_text()
    code = f"import runpy, sys; [runpy.run_path(p, run_name='x') for p in {[str(i.file) for i in IMAGES.values()]!r}]"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], check=True)


def test_an_unknown_image_is_told_which_there_are():
    said = unknown("nginx:1.27")
    assert '"nginx:1.27"' in said and all(reference in said for reference in FOR_PODS)


def test_web_says_who_answers(web):
    _, ask = web("lab.local/web:1.1", NODE_NAME="node-7")
    assert json.loads(ask()[1]) == {"pod": "pod-1", "node": "node-7", "namespace": "shop", "version": "1.1"}
    assert ask("/hostname") == (200, "pod-1")
    assert ask("/nothing")[0] == 404
    assert "LAB_PORTS" not in json.loads(ask("/env")[1])


def test_webs_probes_can_be_switched(web):
    _, ask = web()
    assert (ask("/healthz")[0], ask("/readyz")[0]) == (200, 200)
    ask("/fail/ready")
    assert (ask("/healthz")[0], ask("/readyz")[0]) == (200, 503)
    ask("/fail/live")
    assert (ask("/healthz")[0], ask("/readyz")[0]) == (500, 503)
    ask("/heal")
    assert (ask("/healthz")[0], ask("/readyz")[0]) == (200, 200)


def test_the_broken_release_starts_and_never_gets_ready(web):
    _, ask = web("lab.local/web:broken")
    assert (ask("/healthz")[0], ask("/readyz")[0]) == (200, 503)


def test_web_burns_what_it_is_asked_for_and_refuses_nonsense(web):
    process, ask = web()
    before = os.times()
    assert ask("/work?ms=300")[0] == 200

    used = psutil.Process(process.pid).cpu_times()
    assert used.user + used.system >= 0.3, before
    assert ask("/work?ms=plenty") == (400, "ms has to be a number from 0 to 60000")
    assert ask("/take?mb=9999")[0] == 400


def test_web_takes_memory_and_keeps_it(web):

    process, ask = web()
    before = psutil.Process(process.pid).memory_info().rss
    assert ask("/take?mb=40") == (200, "40 MiB taken")
    assert psutil.Process(process.pid).memory_info().rss - before > 35 << 20


def test_web_ends_with_the_code_it_is_asked_for(web):
    process, ask = web()
    assert ask("/exit?code=7")[0] == 200
    assert process.wait(10) == 7


def test_web_finishes_what_is_in_flight_after_sigterm(web):
    process, ask = web()
    said: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: said.append(ask("/slow?ms=1500")))
    began = time.monotonic()
    slow.start()
    wait_until(lambda: len(psutil.Process(process.pid).threads()) > 1, deadline=5, what="the request in flight")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    slow.join()
    assert said and said[0][0] == 200 and time.monotonic() - began >= 1.5
    assert "every request is finished" in process.stdout.read()


def test_web_names_the_port_that_is_missing(start):
    process = start("lab.local/web:1.0", PORT="9000", LAB_PORTS='{"8080": 1}')
    assert "port 9000 is none of this container's ports (8080)" in process.communicate(timeout=20)[0]
    assert process.returncode == 1


def test_load_counts_what_comes_back(web, start):
    process, ask = web()
    port = next(c.laddr.port for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN")
    said = start("lab.local/load:1.0", f"http://127.0.0.1:{port}/", "--rate", "50", "--seconds", "3").communicate(timeout=30)[0]
    counts = [dict(word.split("=") for word in line.split()[1:]) for line in said.splitlines()]
    sent = sum(int(line["sent"]) for line in counts)
    assert 100 <= sent <= 160, said
    assert sum(int(line.get("200", 0)) for line in counts) == sent
    refused = start("lab.local/load:1.0", f"http://127.0.0.1:{free_port()}/", "--seconds", "1.5").communicate(timeout=30)[0]
    assert "ConnectionRefusedError=" in refused
    assert ask()[0] == 200


def test_crash_says_why_and_is_cured_by_the_variable(start):
    broken = start("lab.local/crash:1.0")
    assert "DATABASE_URL is not set" in broken.communicate(timeout=20)[0] and broken.returncode == 1
    cured = start("lab.local/crash:1.0", DATABASE_URL="postgres://db")
    assert cured.stdout.readline() == "running\n"
    cured.terminate()
    assert cured.wait(10) == 0


def test_shell_waits_for_sigterm_or_its_time(start):
    waits = start("lab.local/shell:1.0")
    assert waits.stdout.readline() == "waiting for kubectl exec\n"
    waits.terminate()
    assert waits.wait(10) == 0
    assert start("lab.local/shell:1.0", "--seconds", "0.3").wait(20) == 0


def test_hungry_takes_more_and_more(start):
    process = start("lab.local/hungry:1.0")
    assert [process.stdout.readline() for _ in range(3)] == ["8 MiB taken\n", "16 MiB taken\n", "24 MiB taken\n"]
    process.terminate()
    assert process.wait(10) == 0
