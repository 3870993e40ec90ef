"""JupyterLab in a real browser, as a learner has it: opened by `lab open`, driven by mouse and keyboard."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-quic",
]
SECONDS = 1000  # playwright counts milliseconds


@contextmanager
def served(labs: Path, name: str, env: dict[str, str]):
    """`lab open NAME` on a copy of the labs; gives the address it prints, ends it with Ctrl-C."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    shutil.copytree(labs, home / "labs")
    env = {**os.environ, **env, "XDG_DATA_HOME": str(home / "data"), "LAB_LABS": str(home / "labs")}
    command = [sys.executable, "-m", "lab_helpers.cli", "open", name, "--no-browser"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = ""
        for line in server.stdout:
            if match := re.search(r"http://127\.0\.0\.1:\S+", line):
                address = match[0]
                break
        assert address, "lab open printed no address"
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
        subprocess.run([sys.executable, "-m", "lab_helpers.cli", "clean"], env=env, capture_output=True, timeout=120)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def browser(dark: bool = False):
    """A page whose every request to another host is refused and counted."""
    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=_FLAGS,
            headless=True,
            viewport={"width": 1280, "height": 1000},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(90 * SECONDS)  # a busy machine takes its time over a long page
        page = context.pages[0]
        page.outside = []

        def guard(route):
            if route.request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
                route.continue_()
            else:
                page.outside.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        yield page
        context.close()


def open_notebook(page: Page, address: str) -> None:
    """Open the notebook and wait for its cells; a cell that is run from then on waits for the kernel by itself."""
    page.goto(address, timeout=90 * SECONDS)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90 * SECONDS)


def kernel_is_there(page: Page) -> None:
    """Wait until the server has the notebook's kernel and the page is connected to it.

    In its first half second JupyterLab's menus are there before they do anything: a click on Run All Cells is then lost.
    """
    page.wait_for_function(
        """async () => {
            const kernels = await (await fetch('/api/kernels')).json();
            return kernels.length > 0 && kernels.every(k => k.execution_state === 'idle' && k.connections > 0);
        }""",
        polling=500,
        timeout=120 * SECONDS,
    )
    idle(page, 90)


def idle(page: Page, seconds: float) -> None:
    """Wait until the kernel says that it is idle and no cell waits for it."""
    page.wait_for_function(
        """() => {
            const light = document.querySelector('.jp-Notebook-ExecutionIndicator');
            const busy = [...document.querySelectorAll('.jp-InputPrompt')].some(e => e.textContent.includes('[*]'));
            return light && light.dataset.status === 'idle' && !busy;
        }""",
        timeout=seconds * SECONDS,
    )


def run_all(page: Page, seconds: float) -> None:
    """Run → Run All Cells once the notebook is open, and wait for the end.

    JupyterLab's menu takes a click only for an item that it has seen the mouse enter, and while the page still works it may
    see too late: nothing happens then, and a learner chooses the item again.
    """
    kernel_is_there(page)
    for patience in (20, 20, 20, 90):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            begun(page, patience)
            break
        except PlaywrightTimeout:
            if patience == 90:
                raise
            page.keyboard.press("Escape")  # should the menu still be open
    idle(page, seconds)


def begun(page: Page, seconds: float = 90) -> None:
    """Wait until a cell waits for the kernel or has run; a dialog in the way is said with its words."""
    page.wait_for_function(
        """() => document.querySelector('dialog.jp-Dialog')
            || [...document.querySelectorAll('.jp-InputPrompt')].some(e => /\\[(\\*|\\d+)\\]/.test(e.textContent))""",
        timeout=seconds * SECONDS,
    )
    dialog = page.locator("dialog.jp-Dialog")
    assert dialog.count() == 0, f"a dialog is open: {dialog.first.inner_text()}"


def cell(page: Page, text: str):
    """The code cell whose source contains this text."""
    return page.locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea-editor", has_text=text)).first


def replace_and_run(page: Page, where, source: str) -> None:
    """Type another source into a cell and run it with Shift + Enter."""
    where.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(source)
    page.keyboard.press("Shift+Enter")


def whole(page: Page, target: Path) -> None:
    """A picture of the whole notebook."""
    parts = ".jp-WindowedPanel-outer, .jp-WindowedPanel-inner, .jp-Notebook"
    high = page.evaluate(f"() => Math.max(...[...document.querySelectorAll('{parts}')].map(e => e.scrollHeight))")
    page.set_viewport_size({"width": 1280, "height": min(16000, int(high) + 200)})
    page.wait_for_function("() => document.readyState === 'complete'")
    page.screenshot(path=str(target))
