"""Create and delete, again and again, and eight at once: nothing may be left."""

from __future__ import annotations

import threading
import time

import psutil

from lab_helpers.clusters import NodeShape, Profile
from tests.bench.figures import Row, maker, quiet

CYCLES, SIDE_BY_SIDE = 100, 8
ONE = Profile((NodeShape("node-1"),))


def left(folder) -> tuple[int, int, int]:
    """Processes, listening ports and files that belong to a data folder."""
    pids = set()
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            pids.add(process.pid)
    ports = sum(c.status == psutil.CONN_LISTEN and c.pid in pids for c in psutil.net_connections("tcp"))
    files = sum(path.is_file() and "locks" not in path.parts for path in folder.rglob("*"))
    return len(pids), ports, files


def run() -> list[Row]:
    """Both soaks."""
    rows: list[Row] = []
    with maker() as made:
        began = time.monotonic()
        for number in range(CYCLES):
            made.create("cycle", ONE, quiet)
            made.delete("cycle")
            if number % 10 == 9:
                print(f"{number + 1} of {CYCLES} cycles, {time.monotonic() - began:.0f} s", flush=True)
        found = left(made.data)
        rows.append((f"{CYCLES} cycles: processes, ports, files left", str(found), "(0, 0, 0)", found == (0, 0, 0)))
    with maker() as made:
        failed: list[BaseException] = []

        def create(name: str) -> None:
            try:
                made.create(name, ONE, quiet)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=create, args=(f"side-{number}",)) for number in range(SIDE_BY_SIDE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        healthy = sum(set(made.health(cluster).values()) == {"running"} for cluster in made.list())
        for cluster in made.list():
            made.delete(cluster.name)
        found = left(made.data)
        said = "".join(f" ({str(error)[:300]})" for error in failed)
        value = f"{healthy} healthy, {len(failed)} failed{said}, left {found}"
        good = healthy == SIDE_BY_SIDE and not failed and found == (0, 0, 0)
        rows.append((f"{SIDE_BY_SIDE} clusters at once", value, f"{SIDE_BY_SIDE} healthy, 0 failed, (0, 0, 0)", good))
    return rows
