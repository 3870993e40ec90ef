"""The lab's changes to programs' sources: they fit, or nothing is built."""

from __future__ import annotations

import pytest

from lab_helpers import toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import patches

PATCH = """Why: a word.
--- a/one/first.go
+++ b/one/first.go
@@ -1,3 +1,3 @@
 a

-b
+B
@@ -9 +9,2 @@
 y
+z
--- a/second.go
+++ b/second.go
@@ -1 +1 @@
-c
+C
"""


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "first.go").write_text("a\n\nb\nx\ny\n")
    (tmp_path / "second.go").write_text("c\n")
    (tmp_path / "second.go").chmod(0o444)  # as Go's module cache has it
    return tmp_path


def test_every_hunk_of_every_file_is_applied(sources):
    patches.apply(PATCH, sources)
    assert (sources / "one" / "first.go").read_text() == "a\n\nB\nx\ny\nz\n"
    assert (sources / "second.go").read_text() == "C\n"


@pytest.mark.parametrize("other", ["a\n\nB\nx\ny\n", "a\n\nb\ny\na\n\nb\ny\n", ""])
def test_sources_that_are_others_are_refused(sources, other):
    (sources / "one" / "first.go").write_text(other)
    with pytest.raises(ProgramError, match=r"does not fit one/first\.go"):
        patches.apply(PATCH, sources)
    assert (sources / "second.go").read_text() == "c\n"


def test_a_patch_without_a_file_is_refused(sources):
    with pytest.raises(ProgramError, match="changes no file"):
        patches.apply("a\nb\n", sources)


def test_the_labs_patches_change_a_line_each_and_say_why():
    families = {program.family for program in toolchain.PROGRAMS.values() if program.family.patches}
    assert {family.name for family in families} == {"eksctl", "aws-iam-authenticator"}
    for patch in (patch for family in families for patch in family.patches):
        words, _, change = patch.read_text().partition("--- a/")
        assert len(words) > 100
        lines = change.splitlines()
        minus, plus = (sum(line.startswith(sign) and not line.startswith(sign * 3) for line in lines) for sign in "-+")
        assert minus == plus and minus <= 3


def test_the_patch_is_part_of_the_programs_key(tmp_path):
    from dataclasses import replace

    program = toolchain.PROGRAMS["aws-iam-authenticator"]
    copy = tmp_path / program.family.name
    copy.mkdir()
    for path in program.family.folder.iterdir():
        (copy / path.name).write_text(path.read_text())
    other = replace(program, family=replace(program.family, root=tmp_path))
    assert other.key == program.key
    (copy / "loopback.patch").write_text("another\n")
    assert other.key != program.key
