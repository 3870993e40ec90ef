"""The `lab` command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from lab_helpers import cli_aws, clusters, processes, toolchain
from lab_helpers import settings as settings_module
from lab_helpers.autoscaling import diagnosis as karpenter_diagnosis
from lab_helpers.clusters import diagnosis, engine, nodeimage
from lab_helpers.eks import diagnosis as aws_diagnosis
from lab_helpers.eks import service
from lab_helpers.errors import ClusterError, LabError, SettingError
from lab_helpers.settings import Settings
from lab_helpers.teaching import cloud, jupyter, lesson, progress, rehearsal
from lab_helpers.teaching.ownership import Ownership
from lab_helpers.toolchain.diagnose import diagnose
from lab_helpers.toolchain.setup_status import SetupStatus

app = typer.Typer(no_args_is_help=True, add_completion=False, help="EKS Lab: Kubernetes and Amazon EKS, hands on, offline.")
app.add_typer(cli_aws.app, name="aws")
out = Console(soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LabName = Annotated[str, typer.Argument(help="A lab's name or number; `lab list` shows them.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is here, what is missing, and what to type."""
    settings = settings_module.load()
    more = (diagnosis, aws_diagnosis, karpenter_diagnosis)
    rows = [*diagnose(), *(row for part in more for row in part.diagnose(settings))]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        table = Table("", "what", "found", "needed", "what to type", box=None)
        for row in rows:
            mark = "[green]✓[/green]" if row.ok else "[red]✗[/red]"
            table.add_row(mark, *(escape(text) for text in (row.what, row.found, row.needed, row.next_step)))
        out.print(table)
    raise typer.Exit(0 if all(row.ok for row in rows) else 1)


@app.command()
def setup(
    what: Annotated[str, typer.Argument(help="kind: also the node image, for clusters of real containers.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Everything that any lab needs on this machine.")] = False,
) -> None:
    """Find, download or build what labs need; goes on where it was interrupted."""
    if what not in ("", "kind"):
        raise SettingError(f"lab setup knows no {what!r}.", next_step="lab setup, lab setup kind or lab setup --all")
    settings = settings_module.load()
    if what == "kind":
        engine.required()
    kind = what == "kind" or (everything and engine.info() is not None)
    # Programs of the image too, in one go: what is compiled for one of them serves the others.
    image = ["node image"] if kind and nodeimage.built_here(settings) else []
    nodes = ["eks node"] if kind else []
    wanted = toolchain.usual(*(["kind", *image] if kind else []), *(["eks", "karpenter", *nodes] if everything else []))
    todo = toolchain.missing(wanted)
    for row in diagnose() if not todo else []:
        if not row.ok and row.what in wanted:
            todo.append(row.what)  # changed since it was made: the thorough look found it
    began = time.monotonic()
    if todo:
        out.print(f"Preparing {len(todo)} programs: {', '.join(todo)}. Ctrl-C stops it; lab setup goes on.")
        with _Bars(todo) as bars:
            toolchain.ensure(todo, say=bars.say, show=bars.show)
    else:
        toolchain.ensure([])  # build caches that a killed set-up left
    spent = f", after {time.monotonic() - began:.0f} s" if todo else ""
    out.print(f"All {len(wanted)} programs are ready{spent}.")
    if kind:
        _setup_node_image(settings)
    elif everything and (why := engine.why_not()):
        out.print(f"No node image: {escape(why.headline)} lab doctor says what to type.")
    elif engine.info() and nodeimage.present(settings) is None:
        out.print("Docker answers: lab setup kind prepares clusters of real containers too (minutes, or half an hour offline).")


def _setup_node_image(settings: Settings) -> None:
    found, began = nodeimage.present(settings), time.monotonic()
    if not found:
        out.print("Preparing the node image: pulled where a registry answers, otherwise built here. Ctrl-C stops it.")
        with _Bars([]) as bars:
            found = nodeimage.ensure(settings, say=bars.say, show=bars.show)
        out.print(f"The node image took {time.monotonic() - began:.0f} s.")
    out.print(f"The node image {found} is ready.")


class _Bars:
    """Bars for programs that are prepared, and a line for each step."""

    def __init__(self, programs: list[str]) -> None:
        columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(*columns, console=out)
        self._tasks = {name: self._bars.add_task(name, total=1.0, note="waiting") for name in programs}

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for task in self._tasks.values() if kind is None else []:
            self._bars.update(task, completed=1.0)
        self._bars.stop()

    def say(self, line: str) -> None:
        self._bars.console.print(f" • {escape(line)}")

    def show(self, now: SetupStatus) -> None:
        for name, line in now.lines.items():
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=1.0, note="waiting")
            left = f"about {line.left:.0f} s left" if line.left else line.note
            note = f"{line.state}, {left}" if line.state != "ready" else line.note
            self._bars.update(self._tasks[name], completed=line.share, note=note)


@app.command("list")
def list_labs(as_json: Json = False) -> None:
    """List the labs with minutes and progress."""
    rows = []
    for room in lesson.every():
        done = [name for name in progress.passed(room.name) if name in room.exercises]
        wrong = sum(len(exercise.wrong) for exercise in room.exercises.values())
        row = {"lab": room.name, "title": room.title, "minutes": room.minutes, "exercises": len(room.exercises)}
        rows.append({**row, "passed": len(done), "wrong_answers": wrong})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("lab", "title", "minutes", "exercises passed", box=None)
    for row in rows:
        table.add_row(str(row["lab"]), escape(str(row["title"])), str(row["minutes"]), f"{row['passed']} of {row['exercises']}")
    out.print(table)


@app.command("open")
def open_jupyter(
    name: Annotated[str, typer.Argument(help="A lab's name or number.")] = "00-start-here",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    port: Annotated[int, typer.Option(help="The first port to try.")] = 8888,
) -> None:
    """Open JupyterLab at a lab; programs still missing are prepared in the background."""
    room, settings = lesson.named(name), settings_module.load()
    jupyter.prepare_in_background(settings)
    process, url, new = jupyter.start(settings, port)
    address = jupyter.page(url, room.notebook, settings.labs)
    opened = browser and jupyter.browse(address)
    state = "is open in your browser" if opened else "is ready" if new else "runs already"
    out.print(f"JupyterLab {state}{'' if opened else ': open this address in your browser'}.\n")
    print(f"  {address}\n", flush=True)
    if new:
        out.print("It stays until you press Ctrl-C here. Clusters that labs made go on; lab clean ends them.")
        jupyter.follow(process)


@app.command()
def check(name: LabName) -> None:
    """Run your own notebook of a lab without a browser, in a cluster of its own, and report each exercise."""
    room = lesson.named(name)
    with out.status("") as busy:
        verdicts = rehearsal.rehearse(room, lambda cell: busy.update(f"{room.name}: {cell}"))
    for verdict in verdicts:
        mark = "[green]✓[/green]" if verdict.passed else "[red]✗[/red]"
        out.print(f"{mark} {verdict.exercise}")
        if verdict.said:
            out.print("    " + escape(verdict.said.replace("\n", "\n    ")), highlight=False)
    good = sum(verdict.passed for verdict in verdicts)
    out.print(f"{good} of {len(verdicts)} exercises passed.")
    raise typer.Exit(0 if good == len(verdicts) else 1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context, name: LabName) -> None:
    """Open a terminal, or run one command (after --), in a lab's environment: what its notebook sees."""
    room, settings = lesson.named(name), settings_module.load()
    maker, _ = cloud.provider(settings, room)
    programs = cloud.programs(room, maker)
    toolchain.ensure(programs, say=lambda line: print(f" • {line}", file=sys.stderr))
    cluster = maker.get(maker.names_for(room.name, room.profile)[0]) if room.profile else None
    if (room.profile and cluster is None) or (room.aws and not cloud.remembered(settings, room)):
        raise ClusterError(
            f"{room.name} is not open.", next_step=f"open it first: lab open {room.name}, and run its first cell"
        )
    env = cloud.environment_of(settings, room, cluster, maker, toolchain.bin_folder(programs))
    if context.args:
        raise typer.Exit(subprocess.run(context.args, env=env).returncode)
    print(f"The environment of {room.name}; exit or Ctrl-D ends it.")
    raise typer.Exit(subprocess.run([os.environ.get("SHELL", "bash")], env=env, cwd=room.folder).returncode)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(context: typer.Context, node: Annotated[str, typer.Argument(help="A node's name.")]) -> None:
    """Run a command (after --) on the machine of a node, as ssh would; the node is one of kubectl's cluster."""
    here = os.environ.get("KUBECONFIG", os.devnull)
    makers = clusters.every(settings_module.load())
    found = [(maker, cluster) for maker in makers for cluster in maker.list() if str(cluster.kubeconfig) == here]
    if not found:
        step = "in a notebook, after its first cell; in a terminal, lab shell LAB"
        raise ClusterError("No cluster of the lab is kubectl's here.", next_step=step)
    words = found[0][0].inside(found[0][1], node)
    raise typer.Exit(subprocess.run([*words, *(context.args or ["bash", "-i"])]).returncode)


@app.command()
def reset(name: LabName) -> None:
    """End a lab's cluster; its next opening makes a new one. Progress stays."""
    room, settings = lesson.named(name), settings_module.load()
    maker, _ = cloud.provider(settings, room)
    if room.profile is None and not room.aws:
        out.print(f"{room.name} has no cluster: there is nothing to reset. lab clean ends what it runs.")
        return
    own = maker.names_for(room.name, room.profile)[:1] if room.profile else []
    owners = [Ownership(settings, held) for held in dict.fromkeys((room.name, *own))]
    try:
        if room.aws:
            cloud.forget(settings, room, lambda line: out.print(f" • {line}"))
        for one in own:
            maker.delete(one)
    finally:
        for owner in owners:
            owner.release()
    out.print(f"The {'cluster' if own else 'account'} of {room.name} is gone; the next open_lab makes a new one.")


@app.command("clusters")
def list_clusters(as_json: Json = False) -> None:
    """List the clusters that exist, with the health of their components."""
    makers = clusters.every(settings_module.load())
    found = [(cluster, maker.health(cluster)) for maker in makers for cluster in maker.list()]
    if as_json:
        rows = [{"cluster": cluster.name, "provider": cluster.provider, "health": health} for cluster, health in found]
        print(json.dumps(rows, indent=1))
    elif not found:
        out.print("No clusters.")
    else:
        table = Table("cluster", "provider", "state", box=None)
        for cluster, health in found:
            bad = [f"{name} {state}" for name, state in health.items() if state != "running"]
            down = set(health.values()) <= {"dead", "stopped"}
            state = "stopped: open its lab to start it again" if down else ", ".join(bad) or "running"
            table.add_row(cluster.name, cluster.provider, state)
        out.print(table)


@app.command()
def clean(everything: Annotated[bool, typer.Option("--all", help="Also the programs and your progress.")] = False) -> None:
    """End everything that the lab runs and remove its state; programs and progress stay without --all."""
    settings = settings_module.load()
    processes.end_recorded(settings.data / "setup")
    if not (status := toolchain.status()).running:
        processes.end_recorded(settings.cache / "build")  # what a set-up that was killed has left
    elif everything:
        remedy = f"wait for it, or: kill {status.pid}; then: lab clean --all"
        raise LabError("Programs are being prepared now by another `lab setup`.", f"process {status.pid}", remedy)
    service.clean(settings)  # before the clusters: it would mend them
    ended = sum(maker.delete_all() for maker in clusters.every(settings))
    for folder in (settings.data / "jupyter", settings.data / "containers"):
        processes.end_recorded(folder)
    if engine.info():
        engine.clean(images=everything)
    for path in settings.data.glob("*"):
        if everything or not path.name.startswith("progress"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if everything:
        shutil.rmtree(settings.cache, ignore_errors=True)
        shutil.rmtree(settings.data, ignore_errors=True)
    plural = "" if ended == 1 else "s"
    kept = "" if everything else f" Kept: programs in {settings.cache}, progress in {settings.data}."
    out.print(f"{ended} cluster{plural} ended; nothing of the lab runs.{kept}")


def main() -> None:
    """Run the command; an error is a few readable lines and exit code 1."""
    try:
        here = cloud.leave(os.environ)  # the set-up goes the user's own way to the network, also from a lab's terminal
        os.environ.clear()
        os.environ.update(here)
        app()
    except LabError as error:
        Console(stderr=True, soft_wrap=True).print(escape(error.text()), style="red", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
