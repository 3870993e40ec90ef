"""The relay between a container's loopback and this machine's: its outer half, without a container."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from lab_helpers.clusters.ports import free_ports


@pytest.fixture
def port():
    """A program that answers in capitals, one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.sendall(link.recv(100).upper())

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture
def relay(tmp_path, port):
    """The folder of its sockets; it serves `port`, and one where nobody listens."""
    silent = free_ports(1)[0]
    command = [sys.executable, "-m", "lab_helpers.clusters.relay", str(tmp_path), str(port), str(silent)]
    running = subprocess.Popen(command)
    end = time.monotonic() + 20
    while not (tmp_path / f"{silent}.sock").exists():
        assert time.monotonic() < end and running.poll() is None
        time.sleep(0.05)
    yield tmp_path, silent
    running.kill()
    running.wait()


def ask(path) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(path))
        link.sendall(b"hello")
        return link.recv(100)


def test_it_passes_both_ways_again_and_again(relay, port):
    folder, _ = relay
    assert [ask(folder / f"{port}.sock") for _ in range(3)] == [b"HELLO"] * 3


def test_where_nobody_listens_the_caller_sees_an_end_and_the_relay_goes_on(relay, port):
    folder, silent = relay
    with suppress(ConnectionError):  # the end may come before the question is sent
        assert ask(folder / f"{silent}.sock") == b""
    assert ask(folder / f"{port}.sock") == b"HELLO"


def test_nobody_but_its_owner_may_connect(relay, port):
    folder, _ = relay
    assert stat.S_IMODE((folder / f"{port}.sock").stat().st_mode) == 0o600
