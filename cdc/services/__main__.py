"""`python -m cdc.services fetch|start|stop|status`: servers by hand, in one run folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from cdc.errors import CdcError
from cdc.services.kinds import KINDS, LABELS, VARIABLES, Kind, fetch, find
from cdc.services.progress import show_on_stderr, tell
from cdc.services.server import shown
from cdc.services.state import State

RUN_FOLDER = Path(".services")
EXAMPLE = "example: python -m cdc.services start mysql kafka"


@dataclass(frozen=True)
class Row:
    """One server in what a command prints."""

    kind: Kind
    label: str
    url: str
    state: str
    variable: str


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code is 0 done, 1 failed, 2 wrong usage."""
    parser = _parser()
    wanted = parser.parse_args(argv)
    # By hand: argparse refuses an empty list when it knows the choices.
    if unknown := [kind for kind in wanted.kinds if kind not in KINDS]:
        parser.error(f"no such kind: {', '.join(unknown)} (there are {', '.join(KINDS)})")
    show_on_stderr()
    folder: Path = wanted.folder.absolute()
    kinds: list[Kind] = wanted.kinds or list(KINDS)
    commands = {"fetch": fetch_all, "start": start, "stop": stop, "status": status}
    rows, faults = commands[wanted.command](kinds, folder)
    sys.stdout.write(_as_json(rows) if wanted.json else _as_table(rows))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return max((fault.exit_code for fault in faults), default=0)


def fetch_all(kinds: Sequence[Kind], folder: Path) -> tuple[list[Row], list[CdcError]]:
    """Downloads what starting needs; starts nothing."""
    faults: list[CdcError] = []
    for kind in kinds:
        try:
            fetch(kind)
        except CdcError as fault:
            faults.append(fault)
    return status(kinds, folder)[0], faults


def start(kinds: Sequence[Kind], folder: Path) -> tuple[list[Row], list[CdcError]]:
    """Starts what doesn't run yet, side by side."""
    with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
        outcomes = list(pool.map(lambda kind: _start_one(kind, folder), kinds))
    rows = [outcome for outcome in outcomes if isinstance(outcome, Row)]
    return rows, [outcome for outcome in outcomes if isinstance(outcome, CdcError)]


def stop(kinds: Sequence[Kind], folder: Path) -> tuple[list[Row], list[CdcError]]:
    """Stops what the run folder names, and nothing else; data folders stay."""
    rows: list[Row] = []
    faults: list[CdcError] = []
    for kind in kinds:
        try:
            state = State.read(kind, folder)
            if state is None:
                continue
            tell(f"stopping {LABELS[kind]} …")
            carrier = state.carrier()
            carrier.stop()
            carrier.remove()
            State.forget(kind, folder)
        except CdcError as fault:
            faults.append(fault)
        else:
            rows.append(_row(kind, state.url, "stopped"))
    return rows, faults


def status(kinds: Sequence[Kind], folder: Path) -> tuple[list[Row], list[CdcError]]:
    """What the run folder names, and whether it runs."""
    rows: list[Row] = []
    faults: list[CdcError] = []
    for kind in kinds:
        try:
            state = State.read(kind, folder)
        except CdcError as fault:
            faults.append(fault)
            continue
        if state is not None:
            rows.append(_row(kind, state.url, _condition(state)))
    return rows, faults


def _start_one(kind: Kind, folder: Path) -> Row | CdcError:
    try:
        state = State.read(kind, folder)
        # An address of the environment comes first here too, so it isn't hidden by a state file.
        if state is not None and not os.environ.get(VARIABLES[kind]):
            carrier = state.carrier()
            if carrier.is_running():
                return _row(kind, state.url, _condition(state))
            carrier.remove()
        server = find(kind, folder / kind)
    except CdcError as fault:
        return fault
    return _row(kind, server.url, server.origin if server.pid is None else f"process {server.pid}")


def _condition(state: State) -> str:
    if not state.carrier().is_running():
        return "ended"
    return f"container {state.container[:12]}" if state.container else f"process {state.pid}"


def _row(kind: Kind, url: str, state: str) -> Row:
    return Row(kind, LABELS[kind], shown(url), state, VARIABLES[kind])


def _as_json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2) + "\n"


def _as_table(rows: Sequence[Row]) -> str:
    if not rows:
        return "no servers here\n"
    cells = [(row.label, f"{row.variable}={row.url}", row.state) for row in rows]
    widths = [max(len(cell[column]) for cell in cells) for column in range(2)]
    return "".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}\n" for a, b, c in cells)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cdc.services",
        description="Servers for work by hand: fetched (downloads only), started, stopped, listed.",
        epilog=EXAMPLE,
    )
    parser.add_argument("command", choices=("fetch", "start", "stop", "status"))
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)}; else all")
    parser.add_argument(
        "--folder", type=Path, default=RUN_FOLDER, help=f"the run folder (default: {RUN_FOLDER})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
