"""The house: layers, style, types, notebooks without outputs, versions in one place, exported names."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_reaches_up():
    run(BIN / "lint-imports", "--no-cache")


def test_labs_import_only_lab_helpers():
    """Notebooks and checks know no module of ours but lab_helpers."""
    for path in (ROOT / "labs").glob("*/*.py"):
        for module in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.M):
            assert module in {"lab_helpers", "__future__"} | sys.stdlib_module_names | {"yaml"}, f"{path}: {module}"


def test_ruff_is_content():
    run(BIN / "ruff", "check", "--no-cache", ".")
    run(BIN / "ruff", "format", "--no-cache", "--check", "lab_helpers", "tests")


def test_types_are_right():
    run(BIN / "mypy", "--no-incremental", "--cache-dir=/dev/null")


def test_notebooks_are_stored_without_outputs():
    notebooks = sorted((ROOT / "labs").glob("*/*.ipynb"))
    assert notebooks
    run(BIN / "nbstripout", "--keep-id", "--verify", *notebooks)


def test_modules_are_of_a_readable_size():
    long = {path: len(path.read_text().splitlines()) for path in ROOT.glob("lab_helpers/**/*.py")}
    assert {path: lines for path, lines in long.items() if lines > 320} == {}


def _pins(lines: list[str]) -> dict[str, str]:
    return dict(line.split(";")[0].strip().split("==") for line in lines if "==" in line)


def test_requirements_lock_holds_every_pin_with_a_hash():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = _pins(project["dependencies"] + project["optional-dependencies"]["dev"])
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    locked = {}
    for block in blocks:
        if match := re.match(r"([\w.-]+)==(\S+)", block):
            locked[match[1]] = match[2]
            assert "--hash=sha256:" in block, match[1]
    assert {name: locked.get(name.lower().replace("_", "-")) for name in wanted} == wanted


def test_environment_yml_is_in_step():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = _pins(project["dependencies"] + project["optional-dependencies"]["dev"])
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    aliases = {"python-kubernetes": "kubernetes"}
    found = _pins([entry.replace("=", "==", 1) if "==" not in entry else entry for entry in conda] + pip)
    found = {aliases.get(name, name): version for name, version in found.items()}
    for name, version in wanted.items():
        assert found.get(name) == version, f"environment.yml: {name} should be {version}, is {found.get(name)}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "environment.yml"])
def test_what_a_newcomer_looks_for_is_there(name):
    assert len((ROOT / name).read_text()) > 300


def course_map() -> str:
    """README's table of the course, made from the lab folders."""
    rows = ["| lab | what you do | minutes |", "| --- | --- | --- |"]
    for path in sorted((ROOT / "labs").glob("*/lab.yaml")):
        lab, folder = yaml.safe_load(path.read_text()), path.parent.name
        rows.append(f"| [{folder[:2]} {lab['title']}](labs/{folder}) | {lab['summary']} | {lab['minutes']} |")
    return "\n".join(rows)


def test_readme_holds_the_course_map_of_the_lab_folders():
    assert course_map() in (ROOT / "README.md").read_text(), "README's course map should be:\n" + course_map()


def test_bare_make_prints_help():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "make lab" in done.stdout and "make test" in done.stdout


def test_python_that_is_too_old_is_said(tmp_path):
    """No Python of 3.11 or newer on PATH: the message says what was seen and what to type."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac\n')
    old.chmod(0o755)
    for tool in ("sh", "make", "awk", "echo", "test"):
        found = subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, text=True).stdout.strip()
        if found.startswith("/"):
            (tmp_path / tool).symlink_to(found)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (copy / name).write_text((ROOT / name).read_text())
    done = subprocess.run(
        [str(tmp_path / "make"), "lab"], cwd=copy, capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stdout
    assert "Python 3.9.2" in done.stdout
