"""A MariaDB server of our own: a GTID domain, row format, full row metadata, annotations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cdc.services import database, debian, docker
from cdc.services.command import run
from cdc.services.database import DatabaseAddress, DatabaseServer
from cdc.services.docker import Container, Image
from cdc.services.freeport import free_ports
from cdc.services.process import Launch, Process
from cdc.services.server import ENVIRONMENT_SECONDS_MAX
from cdc.services.ways import Way, first_open

VARIABLE = "CDC_MARIADB"
IMAGE = "mariadb:10.11"
# The suite that has 10.11; it runs on later ones too, by its own loader.
SUITE = "bookworm"
PACKAGES = ("mariadb-server-core", "mariadb-client-core")
INITIALISE_SECONDS_MAX = 120.0

FLAGS = (
    "--server-id=2",
    "--log-bin=binlog",
    # Not 0, the default: a domain that is forgotten somewhere must show.
    "--gtid-domain-id=1",
    "--binlog-format=ROW",
    "--binlog-row-metadata=FULL",
    "--binlog-annotate-row-events=ON",
    "--character-set-server=utf8mb4",
    "--innodb-buffer-pool-size=64M",
)

# What mariadb-install-db feeds to the server; that script can't start it by another loader.
SYSTEM_TABLES = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)


class MariaDBServer(DatabaseServer):
    """A running MariaDB server."""

    kind = "mariadb"
    label = "MariaDB 10.11"


def find(folder: Path, *, flags: Sequence[str] = ()) -> MariaDBServer:
    """The MariaDB that the environment names, else one of our own in `folder`."""
    ways: list[Way[MariaDBServer]] = [("environment", _of_environment)]
    return first_open(MariaDBServer.label, VARIABLE, ways + _own_ways(folder, flags))


def start(folder: Path, *, flags: Sequence[str] = ()) -> MariaDBServer:
    """A MariaDB of our own in `folder`, with more flags on top of FLAGS; the last one wins."""
    return first_open(MariaDBServer.label, VARIABLE, _own_ways(folder, flags))


def fetch() -> None:
    """Downloads what `start` needs, so that it is quick."""
    ways: list[Way[object]] = [("Docker", partial(docker.fetch, IMAGE)), ("packages", _packages)]
    first_open(MariaDBServer.label, VARIABLE, ways)


def client_command(program: str) -> list[str]:
    """How to start a client program of the packages, for example mariadb."""
    return [*_packages().command(f"usr/bin/{program}"), "--no-defaults"]


def _own_ways(folder: Path, flags: Sequence[str]) -> list[Way[MariaDBServer]]:
    folder = folder.absolute()
    return [
        ("Docker", partial(_in_docker, folder, tuple(flags))),
        ("packages", partial(_of_packages, folder, tuple(flags))),
    ]


def _of_environment() -> MariaDBServer:
    server = MariaDBServer(database.address_in_environment(VARIABLE), None, None)
    server.wait_ready(ENVIRONMENT_SECONDS_MAX)
    return server


def _in_docker(folder: Path, flags: tuple[str, ...]) -> MariaDBServer:
    (port,) = free_ports(1)
    image = Image(
        name=IMAGE,
        ports={database.DEFAULT_PORT: port},
        env={"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1"},
        args=(*FLAGS, *flags),
    )
    return _begun(folder, port, Container.of(image))


def _of_packages(folder: Path, flags: tuple[str, ...]) -> MariaDBServer:
    root = _packages()
    (port,) = free_ports(1)
    usr = root.folder / "usr"
    program = [
        *root.command("usr/sbin/mariadbd"),
        "--no-defaults",
        *database.as_root(),
        f"--basedir={usr}",
        f"--lc-messages-dir={usr}/share/mysql",
    ]

    def initialise(data: Path) -> None:
        (data / "mysql").mkdir()
        scripts = [(usr / "share" / "mysql" / name).read_bytes() for name in SYSTEM_TABLES]
        run(
            [*program, f"--datadir={data}", "--bootstrap"],
            doing="making a MariaDB data folder",
            seconds_max=INITIALISE_SECONDS_MAX,
            # Without a socket's user, root comes in with an empty password.
            stdin=b"use mysql;\nset @auth_root_socket=NULL;\n" + b"\n".join(scripts),
        )

    data = database.initialised(folder / "data", initialise)
    launch = Launch(
        argv=(
            *program,
            f"--datadir={data}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            # Below the data folder, by a short name: the path of a socket has 107 characters.
            "--socket=mysqld.sock",
            f"--pid-file={folder}/mysqld.pid",
            *FLAGS,
            *flags,
        ),
        folder=folder,
        log=folder / "log",
    )
    return _begun(folder, port, Process.of(launch))


def _packages() -> debian.Root:
    return debian.unpacked("mariadb-10.11", suite=SUITE, packages=PACKAGES, size="17 MB")


def _begun(folder: Path, port: int, carrier: Process | Container) -> MariaDBServer:
    server = MariaDBServer(DatabaseAddress("127.0.0.1", port, "root"), carrier, folder)
    server.begin()
    return server
