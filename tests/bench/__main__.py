"""`python -m tests.bench`: measures, prints a table, writes bench.json."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from cdc.errors import CdcError
from cdc.services import progress
from tests.bench import report
from tests.bench.servers import own_servers
from tests.bench.sizes import QUICK, Sizes
from tests.bench.suite import Wrong, measured
from tests.bench.surroundings import surroundings

PROJECT = Path(__file__).parent.parent.parent
PAGE = PROJECT / "docs" / "benchmarks.md"


@click.command()
@click.option("--rows", type=click.IntRange(min=1), envvar="ROWS", help="Rows of the bulk drain.")
@click.option("--transactions", type=click.IntRange(min=3), envvar="TRANSACTIONS",
              help="One-row transactions.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Smaller amounts, to see that all works.")
@click.option("--folder", type=click.Path(path_type=Path), default=PROJECT / ".bench",
              help="Where servers and connectors keep their data; emptied first.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path),
              default=PROJECT / "bench.json", help="Where the results go.")  # fmt: skip
@click.option("--write-docs", is_flag=True, help=f"Put the results into docs/{PAGE.name}, too.")
def main(
    rows: int | None,
    transactions: int | None,
    quick: bool,
    folder: Path,
    json_file: Path,
    write_docs: bool,
) -> None:
    """Measure the connector on servers of its own; every change is counted where it arrives."""
    progress.show_on_stderr()
    sizes = QUICK if quick else Sizes()
    if rows is not None:
        sizes = replace(sizes, rows=rows)
    if transactions is not None:
        sizes = replace(sizes, transactions=transactions)
    figures: list[report.Figure] = []
    try:
        with own_servers(folder / "services") as servers:
            around = surroundings(servers, folder / "asked")
            runs = folder / "runs"
            shutil.rmtree(runs, ignore_errors=True)
            for figure in measured(servers, sizes, runs):
                figures.append(figure)
                progress.tell(f"  {figure.name}: {figure.shown} {figure.unit}")
    except (CdcError, Wrong) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    report.show(figures, around, Console())
    report.write_json(figures, around, json_file)
    if write_docs:
        report.write_page(figures, around, PAGE)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
