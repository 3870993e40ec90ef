"""`python -m lab_helpers.eks FOLDER`: the process that plays AWS. service.py starts it; it serves until it is ended."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Before anything of AWS's SDK is imported: no inherited key, profile or endpoint reaches moto or what it starts.
for _name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_", "BOTO"))]:
    del os.environ[_name]
os.environ |= {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
    "MOTO_DISABLE_GLOBAL_CORS": "true",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}

from lab_helpers.eks import account, changes, files, model, plane, price_list, state  # noqa: E402
from lab_helpers.eks.authenticator import Authenticators  # noqa: E402
from lab_helpers.eks.calls import Log  # noqa: E402
from lab_helpers.eks.certificates import Authority  # noqa: E402
from lab_helpers.eks.front import Front  # noqa: E402
from lab_helpers.eks.proxy import Proxy, address  # noqa: E402

_PAUSE = 0.5  # seconds between a change and its being saved, so that a burst of changes is saved once


class Saver(threading.Thread):
    """Saves the account after each change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder, self._due, self._lock = folder, threading.Event(), threading.Lock()
        changes.listen(lambda service: self._due.set())

    def run(self) -> None:
        while True:
            self._due.wait()
            time.sleep(_PAUSE)
            self._due.clear()  # only now: until then an end that comes meanwhile knows that something is to be saved
            if not self.save():
                self._due.set()

    def save(self) -> bool:
        """Save now; whether it went well. Something that changes meanwhile, or a full disk: again later."""
        with self._lock:
            try:
                state.save(self._folder)
                return True
            except Exception as error:
                print(f"not saved yet: {type(error).__name__}: {error}", flush=True)
                return False

    def finish(self) -> None:
        """What is not saved yet, before the end."""
        if self._due.is_set():
            self.save()


def serve_moto(folder: Path) -> None:
    """Serve the front on a unix socket, each connection in a thread of its own, for ever."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):  # type: ignore[misc]
        def log_request(self, *arguments: Any) -> None:
            """Nothing: the line would hold presigned tokens."""

    front = Front(DomainDispatcherApplication(create_backend_app), Log(folder), price_list.answer, model.published)
    (folder / "http.sock").unlink(missing_ok=True)
    server = make_server(f"unix://{folder / 'http.sock'}", 0, front, threaded=True, request_handler=Quiet)
    (folder / "http.sock").chmod(0o600)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main(folder: Path) -> None:
    """Load the account, serve, and say in endpoint.json that it is ready."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    began, record = time.monotonic(), folder / "endpoint.json"
    wanted = json.loads((folder / "wanted.json").read_text())
    model.install()
    try:
        state.load(folder)
    except state.Unreadable as why:
        (folder / "notice").write_text(str(why))
        print(why, flush=True)
    account.begin(wanted["key"], wanted["secret"])
    saver = Saver(folder)
    saver.start()
    serve_moto(folder)
    proxy = Proxy(Authority(folder), wanted["password"], folder / "http.sock")

    def settle() -> None:  # control planes that died with the machine, and imports: both take seconds
        model.resume()
        model.warm()

    def ready(port: int) -> None:
        plane.authenticator = Authenticators(folder, address(port, wanted["password"]))
        threading.Thread(target=settle, daemon=True).start()
        files.write(record, json.dumps({"pid": os.getpid(), "port": port, "seconds": round(time.monotonic() - began, 1)}))
        print(f"ready on port {port} after {time.monotonic() - began:.1f} s", flush=True)

    def end(sign: int, frame: object) -> None:
        model.stop()
        saver.finish()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        asyncio.run(proxy.serve(wanted["port"], ready))
    except OSError:  # the port of last time is somebody else's now
        asyncio.run(proxy.serve(0, ready))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
