"""`cdc demo`: a shop writes, official events come out, a view grows, and is compared."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from cdc.demo.folder import DemoFolder, demo_folder
from cdc.demo.live import show_live
from cdc.demo.playback import show_recorded
from cdc.demo.server import shop_server
from cdc.observe import configure_logging
from cdc.services import ServiceUnavailable
from cdc.services.progress import show_on_stderr

RECORDED_VARIABLE = "CDC_DEMO_RECORDED"
INTRODUCTION = (
    "A small shop writes to its own tables in MySQL and knows nothing of events.",
    "cdc reads the server's binlog, makes official events of the row changes,",
    "and keeps a view of them. At the end the view is compared with the tables.",
)


def demonstrate(environment: Mapping[str, str], *, keep: bool, recorded: bool = False) -> int:
    """Show the whole pipeline; 0 if the view is equal to the tables, else 1."""
    console = Console(highlight=False)
    show_on_stderr()
    with _ended_by_sigterm(), demo_folder(Path.cwd()) as folder, _logging_to(folder.log_lines):
        console.print()
        for line in INTRODUCTION:
            console.print(Text(line))
        console.print()
        try:
            is_equal = _show(console, folder, environment, keep, recorded)
        except KeyboardInterrupt:
            console.print(Text("\nended before the view was compared"))
            raise
        _what_to_look_at(console, folder, was_kept=keep)
        return 0 if is_equal else 1


def _show(
    console: Console,
    folder: DemoFolder,
    environment: Mapping[str, str],
    keep: bool,
    recorded: bool,
) -> bool:
    """Live where there is a server; recorded where there is none, or where it is asked for."""
    if recorded or environment.get(RECORDED_VARIABLE):
        return show_recorded(console, folder, environment, "as asked for")
    try:
        with shop_server(folder) as server:
            commands = _commands(folder) if keep else None
            return show_live(console, folder, server, environment, commands)
    except ServiceUnavailable as missing:
        console.print(Text(f"{missing}\n"), soft_wrap=True)
        return show_recorded(console, folder, environment, "no MySQL can be had here")


def _commands(folder: DemoFolder) -> list[tuple[str, str]]:
    """What can be tried while it runs, each with what it shows."""
    cdc, connector = _cdc(), _shown(folder.connector_file)
    return [
        (f"{cdc} tail orders.v1 -c {connector}", "official events as they come"),
        (
            f"{cdc} tail shop.demo_shop.orders -c {connector} --last 3",
            "the change events that they are made of",
        ),
        (f"{cdc} status {connector}", "how the stages are"),
        (_view_query(folder), "the view"),
        (
            f". {_shown(folder.environment_file)} && {cdc} check {connector}",
            "is all as it must be?",
        ),
    ]


def _what_to_look_at(console: Console, folder: DemoFolder, *, was_kept: bool) -> None:
    cdc, connector = _cdc(), _shown(folder.connector_file)
    lines = [
        ("the configuration, all of it:", connector),
        ("the official events' schemas:", _shown(folder.path / "schemas" / "orders" / "v1")),
        ("the view:", _view_query(folder)),
        ("the events:", f"{cdc} tail orders.v1 -c {connector} --last 5 --no-follow"),
    ]
    if not was_kept:
        lines.append(("the same, left running:", f"{cdc} demo --keep"))
    console.print()
    for what, how in lines:
        console.print(Text(f"{what:<31}"), Text(how, style="cyan"), sep="", soft_wrap=True)


def _view_query(folder: DemoFolder) -> str:
    path, query = _shown(folder.views_file), "SELECT * FROM order_overview"
    if shutil.which("sqlite3"):
        return f"sqlite3 -header {path} '{query} LIMIT 5'"
    code = (
        f"import sqlite3; print(*sqlite3.connect('{path}').execute('{query} LIMIT 5'), sep='\\n')"
    )
    return f'python3 -c "{code}"'


def _cdc() -> str:
    """This command as it was called, so that the commands shown work as they stand."""
    called = Path(sys.argv[0])
    return _shown(called) if called.name == "cdc" else "cdc"


def _shown(path: Path) -> str:
    """A path as one would type it here."""
    path = path.absolute()
    here = Path.cwd()
    if path.name == "cdc" and shutil.which("cdc") == str(path):
        return "cdc"
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """The pipeline's log lines go to a file, so that they don't run through the picture."""
    with path.open("a", encoding="utf-8") as stream:
        configure_logging(stream=stream)
        try:
            yield
        finally:
            configure_logging()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that the server is stopped too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; stopping is under way
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
