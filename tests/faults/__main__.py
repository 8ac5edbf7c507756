"""`python -m tests.faults`: every fault under load, checked exactly; writes faults.json."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from cdc.services.progress import show_on_stderr
from tests.faults import (
    brokers,
    gigabytes,
    hosts,
    network,
    registries,
    sources,
    standby,
    translators,
)
from tests.faults.cases import Case
from tests.faults.figures import JSON, keep, kept
from tests.faults.page import write_page
from tests.faults.report import FAULTS
from tests.faults.stand import Stand
from tests.faults.tmpfs import NotHere

PROJECT = Path(__file__).parent.parent.parent
FOLDER = PROJECT / ".faults"
PAGE = PROJECT / "docs" / "guarantees.md"
AREAS = (network, brokers, sources, gigabytes, registries, translators, hosts, standby)
CASES: list[Case] = [case for area in AREAS for case in area.CASES]


@click.command()
@click.argument("wanted", nargs=-1)
@click.option("--seed", type=int, help="Of the load and the strikes  [default: a fresh one]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=JSON,
              help="Where figures go; those of cases that don't run stay.")  # fmt: skip
@click.option("--write-docs", is_flag=True, help=f"Put them into docs/{PAGE.name}, too.")
@click.option("--list", "is_list", is_flag=True, help="Show the cases, run none.")
def main(
    wanted: tuple[str, ...], seed: int | None, json_file: Path, write_docs: bool, is_list: bool
) -> None:
    """Run the cases whose area, colon and name hold one of the words WANTED, else all."""
    cases = [one for one in CASES if not wanted or any(word in _title(one) for word in wanted)]
    if is_list:
        click.echo("\n".join(_title(one) for one in cases))
        return
    show_on_stderr()
    seed = time.time_ns() % 10**9 if seed is None else seed
    click.echo(f"seed {seed}")
    with Stand(FOLDER / f"cases-{os.getpid()}") as stand:
        wrong = [one.name for one in cases if not _run(one, stand, seed, json_file)]
    if write_docs:
        write_page(kept(json_file), PAGE)
    sys.exit(1 if wrong else 0)


def _title(case: Case) -> str:
    return f"{case.area}: {case.name}"


def _run(case: Case, stand: Stand, seed: int, json_file: Path) -> bool:
    """Run one and keep its figures; whether nothing was wrong."""
    try:
        figures = case.strike(stand, seed).as_json()
    except NotHere as why:
        click.echo(f"{_title(case)}: not run: {why}")
        return True
    except Exception as failed:  # noqa: BLE001  # the other cases go on
        figures = {"failed": f"{type(failed).__name__}: {failed}"}
    row = {"area": case.area, "name": case.name, "does": case.does, "seed": seed, **figures}
    keep(json_file, row)
    told = figures.pop("told", [])
    shown = " ".join(f"{name}={one}" for name, one in figures.items())
    click.echo("\n  ".join([f"{_title(case)}: {shown}", *told]))
    return "failed" not in figures and not any(figures[fault] for fault in FAULTS)


if __name__ == "__main__":
    main()
