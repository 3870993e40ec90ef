"""Official releases, from a mirror that stands in for the network."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from dataclasses import replace

import pytest
from toolchain_tiny import PLACE, SCRIPT, TINY, URL, publish, use

from lab_helpers import settings, toolchain
from lab_helpers.toolchain import catalog, diagnose, download, own, store


def test_the_official_release_is_taken_where_it_can_be_reached(cache, mirror):
    publish(mirror)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() == SCRIPT
    assert any("official release" in line for line in said)
    made = store.record(settings.load(), TINY)
    assert made["source"] == "official release" and made["origin"].endswith("/official.example/" + PLACE + "/tiny")
    assert not (cache / "downloads").exists()


def test_a_download_with_another_checksum_is_refused_and_built_instead(cache, mirror):
    publish(mirror, checksum="0" * 64)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() != SCRIPT
    assert any("not the published one" in line and "Building it instead" in line for line in said)


def test_a_checksum_that_is_no_checksum_is_said(cache, mirror):
    publish(mirror, checksum="<html>please log in</html>")
    said: list[str] = []
    assert toolchain.ensure(["tiny"], say=said.append)["tiny"].read_bytes() != SCRIPT
    assert any("no SHA-256 in http://" in line for line in said)


def test_a_release_that_does_not_start_is_built_instead(cache, mirror):
    publish(mirror, b"#!/bin/sh\necho tiny version 9.9.9\n")
    said: list[str] = []
    assert own.printed(TINY, toolchain.ensure(["tiny"], say=said.append)["tiny"]) == "1.2.3"
    assert any("does not start as 1.2.3" in line and "Building it instead" in line for line in said)


def test_a_pinned_checksum_wins_over_the_published_one(cache, mirror, monkeypatch):
    publish(mirror)
    pinned = replace(TINY, sha256={"/".join(catalog.machine()): "f" * 64})
    use(monkeypatch, pinned)
    said: list[str] = []
    toolchain.ensure(["tiny"], say=said.append)
    assert any("not " + "f" * 64 in line for line in said)


def test_two_programs_out_of_one_archive(cache, mirror, requested, monkeypatch):
    box = io.BytesIO()
    with tarfile.open(fileobj=box, mode="w:gz") as archive:
        entry = tarfile.TarInfo("tiny-1.2.3/tiny")
        entry.size = len(SCRIPT)
        archive.addfile(entry, io.BytesIO(SCRIPT))
    publish(mirror, box.getvalue())
    tiny = replace(TINY, member="tiny-1.2.3/tiny")
    use(monkeypatch, tiny, replace(tiny, name="twin"))
    paths = toolchain.ensure(["tiny", "twin"])
    assert [path.read_bytes() for path in paths.values()] == [SCRIPT, SCRIPT]
    assert sum(line.startswith("GET") and line.endswith("/tiny") for line in requested) == 1, "the archive comes once"


def test_what_cannot_be_reached_is_built(cache, monkeypatch):
    monkeypatch.setenv("LAB_DOWNLOADS", "http://127.0.0.1:9")
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"


def test_a_host_that_never_answers_is_asked_once(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        monkeypatch.setenv("LAB_DOWNLOADS", f"http://127.0.0.1:{silent.getsockname()[1]}")
        twin = replace(TINY, name="twin", url=f"{URL}-2")
        download.forget()
        assert [download.reachable(settings.load(), program) for program in (TINY, twin, TINY)] == [False] * 3
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.accept()


def test_a_dead_proxy_does_not_keep_from_a_mirror_on_this_machine(cache, mirror, monkeypatch):
    publish(mirror)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() == SCRIPT


def test_an_inherited_proxy_is_used_for_what_is_far_away(cache, mirror, requested, monkeypatch):
    publish(mirror)
    monkeypatch.setenv("http_proxy", os.environ["LAB_DOWNLOADS"])
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("LAB_DOWNLOADS", "http://mirror.example")
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() == SCRIPT
    assert f"GET http://mirror.example/official.example/{PLACE}/tiny" in requested


def test_the_diagnosis_names_every_host_and_what_is_missing(cache, mirror):
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["downloads from official.example"].found == "not reachable"
    publish(mirror)
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["downloads from official.example"].found == "reachable"
    assert (rows["tiny"].ok, rows["tiny"].next_step) == (False, "lab setup")
    toolchain.ensure(["tiny"])
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["tiny"].ok and "official release" in rows["tiny"].found and "free disk" not in rows
