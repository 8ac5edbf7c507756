"""A MySQL server of our own: GTIDs, full row metadata, rows-query events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cdc.services import database, debian, docker
from cdc.services.command import run
from cdc.services.database import DatabaseAddress, DatabaseServer
from cdc.services.docker import Container, Image
from cdc.services.freeport import free_ports
from cdc.services.process import Process
from cdc.services.server import ENVIRONMENT_SECONDS_MAX
from cdc.services.ways import Way, first_open

VARIABLE = "CDC_MYSQL"
IMAGE = "mysql:9.7"
# Debian has MySQL in its unstable suite only.
SUITE = "sid"
PACKAGES = ("mysql-server-core", "mysql-client-core")
INITIALISE_SECONDS_MAX = 120.0

FLAGS = (
    "--server-id=1",
    "--log-bin=binlog",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--binlog-row-metadata=FULL",
    "--binlog-rows-query-log-events=ON",
    "--loose-mysqlx=0",
    "--innodb-buffer-pool-size=64M",
)


class MySQLServer(DatabaseServer):
    """A running MySQL server."""

    kind = "mysql"
    label = "MySQL 9.7"


def find(folder: Path, *, flags: Sequence[str] = ()) -> MySQLServer:
    """The MySQL that the environment names, else one of our own in `folder`."""
    ways: list[Way[MySQLServer]] = [("environment", _of_environment)]
    return first_open(MySQLServer.label, VARIABLE, ways + _own_ways(folder, flags))


def start(folder: Path, *, flags: Sequence[str] = ()) -> MySQLServer:
    """A MySQL of our own in `folder`, with more server flags on top of FLAGS; the last one wins."""
    return first_open(MySQLServer.label, VARIABLE, _own_ways(folder, flags))


def fetch() -> None:
    """Downloads what `start` needs, so that it is quick."""
    ways: list[Way[object]] = [("Docker", partial(docker.fetch, IMAGE)), ("packages", _packages)]
    first_open(MySQLServer.label, VARIABLE, ways)


def client_command(program: str) -> list[str]:
    """How to start a client program of the packages: mysql, mysqldump, mysqlbinlog …"""
    return [*_packages().command(f"usr/bin/{program}"), "--no-defaults"]


def _own_ways(folder: Path, flags: Sequence[str]) -> list[Way[MySQLServer]]:
    folder = folder.absolute()
    return [
        ("Docker", partial(_in_docker, folder, tuple(flags))),
        ("packages", partial(_of_packages, folder, tuple(flags))),
    ]


def _of_environment() -> MySQLServer:
    server = MySQLServer(database.address_in_environment(VARIABLE), None, None)
    server.wait_ready(ENVIRONMENT_SECONDS_MAX)
    return server


def _in_docker(folder: Path, flags: tuple[str, ...]) -> MySQLServer:
    (port,) = free_ports(1)
    image = Image(
        name=IMAGE,
        ports={database.DEFAULT_PORT: port},
        env={"MYSQL_ALLOW_EMPTY_PASSWORD": "yes"},
        args=(*FLAGS, *flags),
    )
    return _begun(folder, port, Container.of(image))


def _of_packages(folder: Path, flags: tuple[str, ...]) -> MySQLServer:
    root = _packages()
    (port,) = free_ports(1)
    usr = root.folder / "usr"
    program = [
        *root.command("usr/sbin/mysqld"),
        "--no-defaults",
        *database.as_root(),
        f"--basedir={usr}",
        f"--lc-messages-dir={usr}/share/mysql",
        "--secure-file-priv=NULL",
    ]

    def initialise(data: Path) -> None:
        run(
            [*program, f"--datadir={data}", "--initialize-insecure"],
            doing="making a MySQL data folder",
            seconds_max=INITIALISE_SECONDS_MAX,
        )

    data = database.initialised(folder / "data", initialise)
    launch = database.launch(program, data, folder, port, (*FLAGS, *flags))
    return _begun(folder, port, Process.of(launch))


def _packages() -> debian.Root:
    return debian.unpacked("mysql", suite=SUITE, packages=PACKAGES, size="66 MB")


def _begun(folder: Path, port: int, carrier: Process | Container) -> MySQLServer:
    server = MySQLServer(DatabaseAddress("127.0.0.1", port, "root"), carrier, folder)
    server.begin()
    return server
