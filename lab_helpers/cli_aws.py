"""`lab aws`: what the local AWS was asked, and its log."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_helpers import processes
from lab_helpers import settings as settings_module
from lab_helpers.eks import service
from lab_helpers.errors import SettingError
from lab_helpers.teaching import cloud

app = typer.Typer(no_args_is_help=True, help="The local AWS: its call log and its own log.")

_WIDE = 200  # where nobody's terminal is


@app.command()
def calls(
    names: Annotated[list[str] | None, typer.Argument(help="Services or operations: eks, CreateCluster. None: all.")] = None,
    last: Annotated[int, typer.Option(help="How many minutes back.")] = 60,
    errors: Annotated[bool, typer.Option("--errors", help="Only what was refused.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole events, one a line, as CloudTrail names them.")] = False,
) -> None:
    """List what AWS was asked: when, by whom, with what, and with which result."""
    found = cloud.recorded(settings_module.load(), names or [], time.time() - 60 * last)
    chosen = type(found)(event for event in found if event["errorCode"] or not errors)
    if as_json:
        for event in chosen:
            print(json.dumps(event))
        return
    out = Console(soft_wrap=True)
    if not chosen:
        out.print(f"No calls in the last {last} minutes.")
        return
    table = Table("time", "who", "program", "service", "operation", "asked with", "result", box=None)
    for row in chosen.rows():
        table.add_row(*(escape(text) for text in row))
    (out if out.is_terminal else Console(width=_WIDE)).print(table)


@app.command()
def log(lines: Annotated[int, typer.Option(help="How many lines.")] = 40) -> None:
    """Print the last lines of the local AWS's own log."""
    path = service.folder(settings_module.load()) / "logs" / f"{service.NAME}.log"
    if not path.exists():
        raise SettingError("The local AWS has not run yet.", next_step="open a lab with AWS: lab list")
    print(processes.tail(path, lines))
