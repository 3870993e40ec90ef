"""Programs of the user's own."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from toolchain_tiny import TINY, script, use, with_packages

from lab_helpers import settings, toolchain
from lab_helpers.errors import ProgramError, SettingError
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


EKSCTL = replace(TINY, name="eksctl", group="eks")


def test_eksctl_is_the_one_that_the_user_names(cache, monkeypatch, tmp_path):
    """Before the lab's own and before what is on PATH; it is what a lab's PATH leads to, whatever its file is called."""
    use(monkeypatch, EKSCTL)
    mine, other = script(tmp_path / "released", "1.2.8"), script(tmp_path / "path", "1.2.9")
    other.rename(other.with_name("eksctl"))
    monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}{os.environ['PATH']}")
    assert toolchain.path("eksctl") == other.with_name("eksctl")
    monkeypatch.setenv("LAB_EKSCTL", str(mine))
    assert toolchain.path("eksctl") == mine and toolchain.missing(["eksctl"]) == []
    assert (toolchain.bin_folder(["eksctl"]) / "eksctl").resolve() == mine
    row = diagnose.diagnose(thorough=False)[-1]
    assert row.ok and row.found == f"1.2.8, your own: {mine}"
    assert "your own" in toolchain.changes("eksctl"), "lab 10 prints this"


@pytest.mark.parametrize(
    ("body", "mode", "words"),
    [
        (None, 0, "is no file"),
        ("#!/bin/sh\necho 1.2.3\n", 0o644, "cannot be executed"),
        ("#!/bin/sh\necho 0.100.0\n", 0o755, "asked for its version it says 0.100.0"),
        ("#!/bin/sh\necho 1.2.3\nexit 1\n", 0o755, "asked for its version it says none"),
    ],
)
def test_an_eksctl_that_cannot_be_used_is_an_error_and_not_passed_over(cache, monkeypatch, tmp_path, body, mode, words):
    use(monkeypatch, EKSCTL)
    path = tmp_path / "released"
    if body:
        path.write_text(body)
        path.chmod(mode)
    monkeypatch.setenv("LAB_EKSCTL", str(path))
    for ask in (lambda: toolchain.ensure(["eksctl"]), lambda: toolchain.path("eksctl")):
        with pytest.raises(SettingError) as caught:
            ask()
        assert words in caught.value.text() and "unset LAB_EKSCTL" in caught.value.next_step
    row = diagnose.diagnose(thorough=False)[-1]
    assert not row.ok and words in row.found and row.next_step == caught.value.next_step


def test_another_program_does_not_care_which_eksctl_is_named(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_EKSCTL", str(tmp_path / "nothing"))
    assert toolchain.ensure(["tiny"])["tiny"].exists()


def test_an_unknown_program_is_named(cache):
    with pytest.raises(ProgramError, match="poodle"):
        toolchain.ensure(["poodle"])


def test_a_cache_with_a_space_and_a_letter_beyond_ascii(cache, first, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "Zoë Ana"))
    with_packages(tmp_path / "Zoë Ana" / "eks-lab", first)
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
