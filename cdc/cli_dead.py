"""`cdc dead`: the commands of dead letters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import rich_click as click
from rich.console import Console

from cdc.cli_parts import EXIT_FAILED, FILE, example, load_config


@click.group(epilog=example("cdc dead list connectors/shop.yaml"))
def dead() -> None:
    """Dead letters: changes that could not go on (docs/dead-letters.md)."""


@contextmanager
def _dead_letters(file: Path) -> Iterator[tuple[Any, Any, Any]]:
    """The configuration, its log, and the dead letters by id."""
    from cdc.wiring.dead_letters import read_dead_letters
    from cdc.wiring.ends import reached_log

    config = load_config(file)
    log = reached_log(config)
    try:
        yield config, log, read_dead_letters(config, log)
    finally:
        log.close()


@dead.command("list", epilog=example("cdc dead list connectors/shop.yaml --json"))
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_dead(file: Path, as_json: bool) -> None:
    """Those that are kept, in the order in which they were made."""
    from cdc import dead as module

    with _dead_letters(file) as (_, _, letters):
        if as_json:
            found = [module.to_json(letter) for letter in letters.values()]
            click.echo(orjson.dumps({"dead_letters": found}).decode())
        else:
            module.show_all(list(letters.values()), Console())


@dead.command("show", epilog=example("cdc dead show connectors/shop.yaml 42/1"))
@click.argument("file", type=FILE)
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as it is kept.")
def show_dead(file: Path, name: str, as_json: bool) -> None:
    """All of one dead letter; ID may be any part of its id that no other has."""
    from cdc import dead as module

    with _dead_letters(file) as (_, _, letters):
        (letter,) = module.chosen(letters, [name])
        if as_json:
            click.echo(orjson.dumps(module.to_json(letter)).decode())
        else:
            module.show(letter, Console())


@dead.command("drop", epilog=example("cdc dead drop connectors/shop.yaml 42/1"))
@click.argument("file", type=FILE)
@click.argument("names", metavar="ID...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All of them.")
def drop_dead(file: Path, names: tuple[str, ...], is_all: bool) -> None:
    """Forget dead letters for good: the changes are published nowhere.

    What is held behind them stays until it is redriven."""
    from cdc import dead as module

    if bool(names) == is_all:
        raise click.UsageError("give either ids or --all")
    with _dead_letters(file) as (config, log, letters):
        found = list(letters.values()) if is_all else module.chosen(letters, names)
        module.drop(config.connector, log, found)
        for letter in found:
            click.echo(f"dropped {letter.id}")
        left = len(module.together(letters.values(), found)) - len(found)
        if left:
            click.echo(f"{left} of their keys stay: redrive them, and the keys are free")


@dead.command("redrive", epilog=example("cdc dead redrive connectors/shop.yaml --all"))
@click.argument("file", type=FILE)
@click.argument("names", metavar="ID...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def redrive_dead(file: Path, names: tuple[str, ...], is_all: bool, as_json: bool) -> None:
    """Try dead letters again, with the configuration and the rules of now.

    The connector must not run. What is held behind one goes out with it, in order. What has a
    newer change of its key stays a dead letter, and so does what still can't go on: exit code 1."""
    from cdc import dead as module
    from cdc import redriving

    if bool(names) == is_all:
        raise click.UsageError("give either ids or --all")
    with _dead_letters(file) as (config, log, letters):
        found = list(letters.values()) if is_all else module.chosen(letters, names)
        outcomes = redriving.redriven(config, log, found, os.environ)
    if as_json:
        click.echo(orjson.dumps(redriving.to_json(outcomes)).decode())
    else:
        for line in redriving.lines(outcomes):
            click.echo(line)
    if any(one.refusal for one in outcomes):
        sys.exit(EXIT_FAILED)
