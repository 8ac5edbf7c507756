"""`python -m tests.bench`: measures, prints a table, writes bench.json."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from cdc.errors import CdcError
from cdc.services import progress
from tests.bench import report
from tests.bench.figures import Figure
from tests.bench.lab import Wrong
from tests.bench.servers import own_servers
from tests.bench.sizes import DEFAULT_ROWS, QUICK, Sizes
from tests.bench.suite import measured
from tests.bench.surroundings import surroundings

PROJECT = Path(__file__).parent.parent.parent
PAGE = PROJECT / "docs" / "benchmarks.md"


@click.command()
@click.option("--rows", type=click.IntRange(min=600), envvar="ROWS", default=DEFAULT_ROWS,
              help="Rows of the bulk drain; all other amounts go with it.")  # fmt: skip
@click.option("--peers", is_flag=True, envvar="PEERS", help="Run Debezium beside, too.")
@click.option("--quick", is_flag=True, help="Smaller amounts, to see that all works.")
@click.option("--folder", type=click.Path(path_type=Path), default=PROJECT / ".bench",
              help="Where servers and connectors keep their data; emptied first.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path),
              default=PROJECT / "bench.json", help="Where the results go.")  # fmt: skip
@click.option("--write-docs", is_flag=True, help=f"Put the results into docs/{PAGE.name}, too.")
def main(
    rows: int,
    peers: bool,
    quick: bool,
    folder: Path,
    json_file: Path,
    write_docs: bool,
) -> None:
    """Measure the connector on servers of its own; every change is counted where it arrives."""
    progress.show_on_stderr()
    sizes = QUICK if quick else Sizes.of(rows)
    figures: list[Figure] = []
    try:
        with own_servers(folder / "services") as servers:
            around = surroundings(servers, folder / "asked", with_peers=peers)
            runs = folder / "runs"
            shutil.rmtree(runs, ignore_errors=True)
            for figure in measured(servers, sizes, runs, with_peers=peers):
                figures.append(figure)
                progress.tell(f"  {figure.name}: {figure.shown} {figure.unit} {figure.verdict}")
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
