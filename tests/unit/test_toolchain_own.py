"""Programs of the user's own."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from toolchain_tiny import TINY, script, use, with_packages

from lab_helpers import settings, toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import diagnose, own


def test_the_folder_that_the_user_names_comes_before_path(cache, monkeypatch, tmp_path):
    on_path, named = script(tmp_path / "path", "1.2.7"), script(tmp_path / "named", "1.2.9")
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    assert toolchain.path("tiny") == on_path
    monkeypatch.setenv("LAB_PROGRAMS", str(named.parent))
    assert toolchain.path("tiny") == named
    named.write_text("#!/bin/sh\necho tiny 2.0.0\n")
    assert toolchain.path("tiny") == on_path, "asked again, for the file has changed"


@pytest.mark.parametrize(("printed", "taken"), [("1.2.9", True), ("1.3.0", False), ("nothing", False)])
def test_a_program_of_the_users_own_is_taken_where_its_version_fits(cache, monkeypatch, tmp_path, printed, taken):
    monkeypatch.setenv("LAB_PROGRAMS", str(script(tmp_path / "mine", printed).parent))
    assert (toolchain.missing(["tiny"]) == []) is taken
    row = diagnose.diagnose()[-1]
    assert ("your own" in row.found) is taken
    if not taken:
        assert "passed over" in row.found


def test_what_goes_into_the_node_image_is_never_the_users_own(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_PROGRAMS", str(script(tmp_path / "mine", "1.2.3").parent))
    assert toolchain.missing(["tiny"]) == []
    use(monkeypatch, replace(TINY, group="node image"))
    assert toolchain.missing(["tiny"]) == ["tiny"]


def test_a_plain_set_up_leaves_the_programs_of_a_group_alone(cache, monkeypatch):
    use(monkeypatch, TINY, replace(TINY, name="heavy", group="kind"))
    assert (toolchain.usual(), toolchain.usual("kind")) == (["tiny"], ["tiny", "heavy"])
    assert toolchain.missing() == ["tiny"] and toolchain.missing(["heavy"]) == ["heavy"]
    assert [row.what for row in diagnose.diagnose(thorough=False)].count("heavy") == 0, "not missed while nobody needs it"


def test_the_labs_own_links_are_not_taken_for_the_users(cache, monkeypatch):
    toolchain.ensure(["tiny"])
    folder = toolchain.bin_folder(["tiny"])
    assert [path.name for path in folder.iterdir()] == ["tiny"]
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert own.find(settings.load(), TINY) is None


def test_a_link_to_the_users_program_stays_one_link(cache, monkeypatch, tmp_path):
    """A kernel has the links first on its PATH, and asks again."""
    path = script(tmp_path / "mine", "1.2.9")
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    folder = toolchain.bin_folder(["tiny"])
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert (toolchain.path("tiny"), toolchain.bin_folder(["tiny"])) == (path, folder)


@pytest.mark.parametrize(
    ("stamp", "code", "version"),
    [
        ("dep\tlab.local/other\tv1.2.9\th1:x", 0, "1.2.9"),
        ("mod\tlab.local/other\tv1.2.9\th1:x", 0, "1.2.9"),
        ("mod\tlab.local/other\t(devel)\t", 0, ""),
        ("dep\tlab.local/another\tv1.2.9\th1:x", 0, ""),
        ("dep\tlab.local/other\tv1.2.9\th1:x", 3, ""),
    ],
)
def test_a_program_that_prints_no_version_is_known_by_what_go_wrote_into_it(tmp_path, stamp, code, version):
    path = script(tmp_path / "mine", "7.7.7")
    path.write_text(f"#!/bin/sh\necho usage of 7.7.7\nexit {code}\n{stamp}\n")
    assert own.printed(replace(TINY, stamped="lab.local/other"), path) == version


def test_an_unknown_program_is_named(cache):
    with pytest.raises(ProgramError, match="poodle"):
        toolchain.ensure(["poodle"])


def test_a_cache_with_a_space_and_a_letter_beyond_ascii(cache, first, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "Zoë Ana"))
    with_packages(tmp_path / "Zoë Ana" / "eks-lab", first)
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
