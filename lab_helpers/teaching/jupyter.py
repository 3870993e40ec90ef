"""JupyterLab for the learner: on 127.0.0.1 with a token, its own settings and folders, nothing fetched from outside."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

from lab_helpers import clusters, processes, toolchain
from lab_helpers.errors import LabError
from lab_helpers.settings import Settings, writable

# What a learner meets first; all of it can be changed in JupyterLab's own settings.
_OVERRIDES = {
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
    "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"},
    "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 20},
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
    "@jupyterlab/notebook-extension:tracker": {
        "scrollPastEnd": False,
        "windowingMode": "none",  # every cell is on the page: for finding, reading aloud and pictures
        "codeCellConfig": {"lineNumbers": False, "lineWrap": True},
    },
}
_PAGE = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
_NAME = "jupyterlab"


def environment(folder: Path) -> dict[str, str]:
    """JupyterLab's environment: every file that it writes lands under `folder`.

    A notebook whose lab is not open, and a terminal, see none of the user's own clusters: a command typed too early, or
    after lab.close(), fails instead of reaching one of them.
    """
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    for place in places.values():
        writable(folder / place)
    lab = writable(folder / "config" / "labconfig")
    (lab / "default_setting_overrides.json").write_text(json.dumps(_OVERRIDES, indent=1))
    (lab / "page_config.json").write_text(json.dumps(_PAGE, indent=1))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # `lab` in its terminals
    return {**clusters.scrubbed(os.environ), **{name: str(folder / place) for name, place in places.items()}, "PATH": path}


def _command(root: Path, port: int, token: str) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 50,
        "ServerApp.root_dir": root,
        "IdentityProvider.token": token,
        "ServerApp.open_browser": False,
        "ServerApp.allow_remote_access": False,
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "LabApp.extra_labextensions_path": Path(__file__).with_name("labextensions"),
    }
    root_user = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items()), *root_user]


def prepare_in_background(settings: Settings) -> None:
    """Start `lab setup` as a process of its own where a program is still to come."""
    if toolchain.missing() and not toolchain.status().running:
        folder = writable(settings.data / "setup")  # not with the programs: other state folders share those
        processes.start("setup", [sys.executable, "-m", "lab_helpers.cli", "setup"], folder=folder)


def start(settings: Settings, port: int) -> tuple[processes.Process, str, bool]:
    """Start JupyterLab, or find the one that runs already: its process, its address with the token, whether it is new.

    Raises:
        LabError: it ended at once, or did not answer within two minutes.
    """
    folder = settings.data / "jupyter"
    env = environment(folder)
    running = processes.recorded(folder).get(_NAME)
    new = not (running and processes.alive(running) and _address(folder, running.pid))
    if new or running is None:
        running = processes.start(_NAME, _command(settings.labs, port, secrets.token_hex(24)), folder=folder, env=env)
    process = running
    state = {"url": ""}

    def answers() -> bool:
        if not processes.alive(process):
            raise LabError("JupyterLab ended at once.", processes.tail(process.log), "lab doctor")
        state["url"] = _address(folder, process.pid)
        return bool(state["url"])

    processes.wait_until(answers, deadline=120, what="JupyterLab's answer", seen=lambda: processes.tail(process.log, 5))
    return process, state["url"], new


def _address(folder: Path, pid: int) -> str:
    """The server's address with its token once it answers, or an empty text; the port may not be the one asked for."""
    try:
        found = json.loads((folder / "runtime" / f"jpserver-{pid}.json").read_text())
        url = f"{found['url']}lab?token={found['token']}"
        # Straight to it: an inherited proxy knows nothing of this machine's ports.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"{found['url']}api/status?token={found['token']}", timeout=2).read()
        return url
    except (OSError, ValueError, KeyError):
        return ""


def page(url: str, notebook: Path, root: Path) -> str:
    """The address of one notebook."""
    base, _, token = url.partition("lab?")
    return f"{base}lab/tree/{quote(str(notebook.relative_to(root)))}?{token}"


def follow(process: processes.Process) -> None:
    """Stay until the server ends, Ctrl-C is pressed or this process is asked to end; then end the server."""
    for sign in (signal.SIGINT, signal.SIGTERM):  # a script's background job begins with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    try:
        while processes.alive(process):
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        processes.stop(process, grace=10)


def browse(url: str) -> bool:
    """Open the user's browser where there is one."""
    import webbrowser

    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return webbrowser.open(url)
    if "microsoft" in os.uname().release.lower():  # WSL: Windows' own browser
        return subprocess.run(["cmd.exe", "/c", "start", url.replace("&", "^&")], capture_output=True).returncode == 0
    return False
