"""Real kernels for the tests of what notebooks see; a cache and a mirror for those of the toolchain."""

from __future__ import annotations

import http.server
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from toolchain_tiny import PLACE, TINY, use, with_packages

from lab_helpers import settings
from lab_helpers.toolchain import build


@dataclass
class Ran:
    """What a cell left behind.

    Attributes:
        text: what it printed.
        error: the class of its error, or empty.
        panels: its displays, each a dict of MIME type → content.
    """

    text: str
    error: str
    panels: list[dict[str, Any]]

    @property
    def words(self) -> str:
        """Everything a reader of plain text sees."""
        return self.text + "\n".join(str(panel.get("text/plain", "")) for panel in self.panels)


class Kernel:
    """One kernel without a browser."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self._notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell()])
        resources = {"metadata": {"path": str(folder)}}
        options = {"kernel_name": "python3", "timeout": 60, "resources": resources, "force_raise_errors": True}
        self._client = NotebookClient(self._notebook, **options)
        self._context = self._client.setup_kernel(env={**os.environ, **env}, cleanup_kc=True)
        self._context.__enter__()

    def run(self, source: str) -> Ran:
        """Run one cell."""
        cell = self._notebook.cells[0] = nbformat.v4.new_code_cell(source)  # where nbclient looks for what is updated
        error = ""
        try:
            self._client.execute_cell(cell, 0)
        except CellExecutionError as failed:
            error = failed.ename
        text = "".join(output["text"] for output in cell.outputs if output["output_type"] == "stream")
        kinds = ("display_data", "execute_result")
        return Ran(text, error, [output["data"] for output in cell.outputs if output["output_type"] in kinds])

    def interrupt(self) -> None:
        """The Stop button."""
        os.kill(self._client.km.provisioner.process.pid, 2)

    @staticmethod
    def until(holds: Callable[[], object], deadline: float = 30) -> None:
        """Wait for a condition."""
        end = time.monotonic() + deadline
        while not holds():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.02)

    def close(self) -> None:
        self._context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """Start a kernel in a folder of its own, or in the one that is named."""
    made: list[Kernel] = []

    def start(folder: Path | None = None, **env: str) -> Kernel:
        made.append(Kernel(folder or tmp_path_factory.mktemp("kernel"), env))
        return made[-1]

    yield start
    for kernel in made:
        kernel.close()


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """The first build of all, from empty caches: its folder, and the progress that it told."""
    folder, shares = tmp_path_factory.mktemp("first"), []
    place = settings.Settings(folder, folder, folder, "auto", None, "off", True)
    build.build(place, TINY, folder / "tiny", shares.append)
    return folder, shares


@pytest.fixture
def cache(monkeypatch, tmp_path, first):
    """A cache, a catalogue of one program of our own, and Go's own packages compiled already."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LAB_DOWNLOADS", "off")
    monkeypatch.setenv("LAB_KEEP_BUILD_CACHE", "1")
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    use(monkeypatch, TINY)
    return with_packages(tmp_path / "cache" / "eks-lab", first)


@pytest.fixture
def requested():
    """What the mirror was asked for: method and address."""
    return []


@pytest.fixture
def mirror(monkeypatch, tmp_path, requested):
    """A web server whose files lie as <base>/<host>/<path>; gives the folder of the official file."""
    folder = tmp_path / "mirror"
    official = folder / "official.example" / PLACE
    official.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def translate_path(self, path):  # a proxy is asked with the whole address
            return super().translate_path(re.sub("^http://[^/]*", "", path))

        def log_message(self, *args):
            requested.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LAB_DOWNLOADS", f"http://127.0.0.1:{server.server_port}")
    yield official
    server.shutdown()
    server.server_close()
