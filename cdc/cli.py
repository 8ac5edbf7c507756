"""The commands: thin, each a few lines over the module that does the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import orjson
import rich_click as click
from rich.console import Console

import cdc
from cdc.capture import is_compiled
from cdc.cli_dead import dead
from cdc.cli_parts import EXIT_FAILED, EXIT_USAGE, FILE, example, load_config
from cdc.errors import CdcError
from cdc.observe import configure_logging

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.SHOW_ARGUMENTS = True

STAGES = ("capture", "translate", "views")


def main() -> None:
    """The entry point: errors as text on stderr; exit code 0 done, or the error's."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.Abort:
        sys.exit(EXIT_FAILED)
    except CdcError as error:
        click.echo(f"cdc: {error}", err=True)
        sys.exit(error.exit_code)


def _version() -> str:
    form = "compiled" if is_compiled() else "plain Python, slower: no compiler was there"
    return f"cdc {cdc.__version__} (hot path: {form})"


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(_version())
        context.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("cdc run connectors/shop.yaml"),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and which form of the hot path runs.",
)  # fmt: skip
@click.option("--log-json", is_flag=True, help="Log lines as JSON.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def cli(log_json: bool, log_level: str) -> None:
    """Change data capture for MySQL and MariaDB.

    Row changes become Avro change events, those become versioned official events, and those
    keep view tables."""
    configure_logging(json=log_json, level=log_level)


cli.add_command(dead)

config_option = click.option(
    "--config", "-c", "file", type=FILE, required=True, help="The connector file."
)


@contextmanager
def _log_and_registry(config: Any) -> Iterator[tuple[Any, Any]]:
    from cdc.wiring.ends import open_registry, reached_log

    log = reached_log(config)
    try:
        registry = open_registry(config)
        try:
            yield log, registry
        finally:
            registry.close()
    finally:
        log.close()


@cli.command(epilog=example("cdc run connectors/shop.yaml --stage capture,translate"))
@click.argument("file", type=FILE)
@click.option(
    "--stage", "stage", default="", metavar="STAGES",
    help="Only these stages, of capture, translate and views; else all that the file has.",
)  # fmt: skip
def run(file: Path, stage: str) -> None:
    """Run a connector until SIGTERM or Ctrl-C; it goes on where it stopped.

    A second instance of a connector waits for the end of the first (docs/standby.md). Exit code 3:
    an instance that knows no standby took over."""
    from cdc.running import running, signals_stop

    wanted = tuple(name.strip() for name in stage.split(",") if name.strip())
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        raise click.UsageError(f"--stage {unknown[0]}: allowed are {', '.join(STAGES)}")
    config = load_config(file, wanted)
    stages = wanted or config.stages
    if not stages:
        raise click.UsageError(f"{file} has neither source, streams nor views: nothing to run")
    with running(config, stages, os.environ) as process, signals_stop(process.stop.set):
        process.wait()


@cli.command(epilog=example("cdc check connectors/shop.yaml"))
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--compare", is_flag=True,
              help="Read a stretch of the live binlog twice, with cdc's reader and with"
              " mysql-replication, and report every difference.")  # fmt: skip
@click.option(
    "--from",
    "start",
    metavar="START",
    help="Compare from earliest, a GTID set, file:position.  [default: now]",
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Compare for so long.")
@click.option("--events", type=click.IntRange(1), help="Compare so many changes.")
def check(
    file: Path,
    as_json: bool,
    compare: bool,
    start: str | None,
    seconds: float | None,
    events: int | None,
) -> None:
    """Check a connector file against server, log, registry and schemas, before it runs.

    With --compare: 0 equal, 1 different. From START without a limit, up to the binlog's end now."""
    if compare:
        _compare(file, as_json, start, seconds, events)
        return
    if start or seconds or events:
        raise click.UsageError("--from, --seconds and --events go with --compare")
    from cdc import check as checking

    findings = checking.check(load_config(file))
    if as_json:
        click.echo(orjson.dumps(checking.to_json(findings)).decode())
    else:
        checking.show(findings, Console())
    if any(finding.severity == "error" for finding in findings):
        sys.exit(EXIT_FAILED)


def _compare(
    file: Path, as_json: bool, start: str | None, seconds: float | None, events: int | None
) -> None:
    from cdc import comparing
    from cdc.config.source import parse_start

    if start is None and seconds is None and events is None:
        raise click.UsageError("--compare needs --seconds, --events or --from")
    try:
        start_at = parse_start(start) if start else None
    except ValueError as error:
        raise click.UsageError(f"--from {start}: {error}") from error
    compared = comparing.compare(
        load_config(file, ("capture",)), comparing.Stretch(start_at, seconds, events)
    )
    if as_json:
        click.echo(orjson.dumps(comparing.to_json(compared)).decode())
    else:
        comparing.show(compared, Console())
    if not compared.is_equal:
        sys.exit(EXIT_FAILED)


def _settings(options: tuple[str, ...]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise click.UsageError(f"--set {option}: write it as OPTION=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


@cli.command(epilog=example("cdc decode binlog.000014 --format json --tables tables.json"))
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--format", "form", type=click.Choice(["json", "wire", "none"]), default="json",
    show_default=True, help="Readable events, wire records as hex, or only their number.",
)  # fmt: skip
@click.option("--connector", default=None, metavar="NAME", help="The topic prefix.  [default: cdc]")
@click.option("--set", "options", multiple=True, metavar="OPTION=VALUE",
              help="A setting of change events; may be repeated.")  # fmt: skip
@click.option("--tables", "tables_file", type=FILE, help="Descriptions, as `cdc describe` writes.")
@click.option("--accept", multiple=True, metavar="NAME",
              help="What would stop it (docs/what-is-followed.md).")  # fmt: skip
@click.option("--schemas", "schemas_file", type=FILE, help="Write schema id → Avro schema here.")
@click.option("--config", "-c", "config_file", type=FILE, help="Take all from a connector file.")
def decode(
    files: tuple[Path, ...],
    form: Any,
    connector: str | None,
    options: tuple[str, ...],
    tables_file: Path | None,
    accept: tuple[str, ...],
    schemas_file: Path | None,
    config_file: Path | None,
) -> None:
    """Binlog files, read as one stream, to change events; no server is needed."""
    from cdc.capture.settings import parse_settings
    from cdc.collecting import collect_seldom
    from cdc.config import FileSource
    from cdc.config.source import Accepted
    from cdc.decoding import Decoding
    from cdc.patterns import TablePatterns
    from cdc.wiring.capture import read_descriptions

    collect_seldom()
    config = load_config(config_file) if config_file else None
    merged = {**(config.change_events if config else {}), **_settings(options)}
    settings, faults = parse_settings(merged)
    if faults:
        raise click.UsageError("; ".join(f"--set {name} {text}" for name, text in faults))
    if unknown := set(accept) - set(get_args(Accepted)):
        raise click.UsageError(
            f"--accept {', '.join(sorted(unknown))}: one of {', '.join(get_args(Accepted))}"
        )
    source = config.source if config else None
    if tables_file is None and isinstance(source, FileSource):
        tables_file = source.tables_file
    decoding = Decoding(
        connector or (config.connector if config else "cdc"),
        source.patterns if source else TablePatterns(("*.*",)),
        settings,
        read_descriptions(tables_file),
        accept=accept or (source.accept if source else ()),
    )
    if form == "none":
        click.echo(f"{sum(map(len, decoding.records(files)))} records")
    else:
        out = sys.stdout.buffer
        for line in decoding.lines(files, form):
            out.write(line + b"\n")
        out.flush()
    if schemas_file is not None:
        schemas_file.write_bytes(
            orjson.dumps({str(number): schema for number, schema in decoding.schemas.items()})
        )


@cli.command(epilog=example("cdc describe -c connectors/shop.yaml > tables.json"))
@config_option
def describe(file: Path) -> None:
    """What the server's catalogue knows of the captured tables, as JSON."""
    from cdc.capture.catalogue import captured_tables, read_tables
    from cdc.capture.connection import Session
    from cdc.wiring.capture import server_settings

    config = load_config(file, ("capture",))
    session = Session(server_settings(config))
    try:
        tables = read_tables(session, captured_tables(session, config.source.patterns))
    finally:
        session.close()
    click.echo(orjson.dumps(tables, option=orjson.OPT_INDENT_2, default=str).decode())


@cli.command(epilog=example("cdc tail orders.v1 -c connectors/shop.yaml --last 5"))
@click.argument("topic")
@config_option
@click.option("--last", type=click.IntRange(min=0), help="Begin so many before each end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--no-follow", is_flag=True, help="Stop at the end instead of waiting for more.")
def tail(topic: str, file: Path, last: int | None, as_json: bool, no_follow: bool) -> None:
    """Show the events of any topic, readable, and follow it."""
    from cdc.tailing import show
    from cdc.tailing import tail as tail_topic

    config = load_config(file)
    console = Console(highlight=False, soft_wrap=True)
    # Ctrl-C is how following ends.
    with suppress(KeyboardInterrupt), _log_and_registry(config) as (log, registry):
        wait_seconds = 0.5 if no_follow else float("inf")
        for event in tail_topic(log, registry, topic, last=last, wait_seconds=wait_seconds):
            if as_json:
                click.echo(orjson.dumps(event).decode())
            else:
                show(event, console)


@cli.command(epilog=example("cdc status connectors/shop.yaml --json"))
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(file: Path, as_json: bool) -> None:
    """Lag, rates, checkpoints and errors of a running connector."""
    from cdc.console import client, discovery, render

    config = load_config(file)
    running = discovery.find(config.connector, os.environ)
    processes = [client.status(process.address) for process in running]
    if as_json:
        click.echo(orjson.dumps({"processes": [p.to_json() for p in processes]}).decode())
    elif processes:
        render.show(processes, Console())
    if not processes:
        raise CdcError(
            f"no process of connector {config.connector} answers on this machine",
            hint=f"start it with `cdc run {file}`",
        )


@cli.command(epilog=example("cdc demo --keep"))
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C.")
@click.option("--recorded", is_flag=True, help="Play a recorded binlog; no server is needed.")
def demo(keep: bool, recorded: bool) -> None:
    """The whole pipeline on the example shop: nothing to configure."""
    from cdc.demo.show import demonstrate

    sys.exit(demonstrate(os.environ, keep=keep, recorded=recorded))
