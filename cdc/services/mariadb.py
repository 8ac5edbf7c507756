"""MariaDB servers of our own: a GTID domain, row format, full row metadata, annotations.

Two releases: 10.11, and 11.8, which writes no positions inside transactions, has TIMESTAMP
beyond 2038 and VECTOR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

VARIABLE, VARIABLE_11 = "CDC_MARIADB", "CDC_MARIADB11"
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


class MariaDBServer(DatabaseServer):
    """A running MariaDB server."""

    kind = "mariadb"
    flavor = "mariadb"
    label = "MariaDB 10.11"


class MariaDB11Server(MariaDBServer):
    """A running MariaDB server of the 11.8 series."""

    kind = "mariadb11"
    label = "MariaDB 11.8"


@dataclass(frozen=True)
class Release:
    """A series of MariaDB and where it comes from."""

    server: type[MariaDBServer]
    version: str
    suite: str
    """Of Debian; it runs on other ones too, by its own loader."""
    share: str
    scripts: tuple[str, ...]
    """What mariadb-install-db feeds to the server; that script can't start it by another loader."""
    size: str


RELEASE = Release(
    MariaDBServer,
    "10.11",
    "bookworm",
    "mysql",
    (
        "mysql_system_tables.sql",
        "mysql_performance_tables.sql",
        "mysql_system_tables_data.sql",
        "maria_add_gis_sp_bootstrap.sql",
        "mysql_sys_schema.sql",
    ),
    "17 MB",
)
RELEASE_11 = Release(
    MariaDB11Server,
    "11.8",
    "sid",
    "mariadb",
    (
        "mariadb_system_tables.sql",
        "mariadb_performance_tables.sql",
        "mariadb_system_tables_data.sql",
        "maria_add_gis_sp_bootstrap.sql",
        "mariadb_sys_schema.sql",
    ),
    "20 MB",
)


def find(folder: Path, *, flags: Sequence[str] = ()) -> MariaDBServer:
    """The MariaDB that the environment names, else one of our own in `folder`."""
    ways: list[Way[MariaDBServer]] = [("environment", partial(_of_environment, RELEASE, VARIABLE))]
    return first_open(MariaDBServer.label, VARIABLE, ways + _own_ways(RELEASE, folder, flags))


def find_11(folder: Path) -> MariaDBServer:
    """The same of the 11.8 series."""
    ways: list[Way[MariaDBServer]] = [
        ("environment", partial(_of_environment, RELEASE_11, VARIABLE_11))
    ]
    return first_open(MariaDB11Server.label, VARIABLE_11, ways + _own_ways(RELEASE_11, folder, ()))


def start(folder: Path, *, flags: Sequence[str] = ()) -> MariaDBServer:
    """A MariaDB of our own in `folder`, with more flags on top of FLAGS; the last one wins."""
    return first_open(MariaDBServer.label, VARIABLE, _own_ways(RELEASE, folder, flags))


def fetch() -> None:
    """Downloads what `start` needs, so that it is quick."""
    _fetch(RELEASE, VARIABLE)


def fetch_11() -> None:
    """Downloads what the 11.8 series needs."""
    _fetch(RELEASE_11, VARIABLE_11)


def tool_command(program: str) -> list[str]:
    """How to start a tool that comes apart from server and client: mariadb-binlog …"""
    root = debian.unpacked(
        f"mariadb-tools-{RELEASE.version}",
        suite=RELEASE.suite,
        packages=("mariadb-client",),
        size="25 MB",
    )
    return [*root.command(f"usr/bin/{program}"), "--no-defaults"]


def client_command(program: str) -> list[str]:
    """How to start a client program of the packages, for example mariadb."""
    return [*_packages(RELEASE).command(f"usr/bin/{program}"), "--no-defaults"]


def _fetch(release: Release, variable: str) -> None:
    ways: list[Way[object]] = [
        ("Docker", partial(docker.fetch, _image(release))),
        ("packages", partial(_packages, release)),
    ]
    first_open(release.server.label, variable, ways)


def _image(release: Release) -> str:
    return f"mariadb:{release.version}"


def _own_ways(release: Release, folder: Path, flags: Sequence[str]) -> list[Way[MariaDBServer]]:
    folder = folder.absolute()
    return [
        ("Docker", partial(_in_docker, release, folder, tuple(flags))),
        ("packages", partial(_of_packages, release, folder, tuple(flags))),
    ]


def _of_environment(release: Release, variable: str) -> MariaDBServer:
    server = release.server(database.address_in_environment(variable), None, None)
    server.wait_ready(ENVIRONMENT_SECONDS_MAX)
    return server


def _in_docker(release: Release, folder: Path, flags: tuple[str, ...]) -> MariaDBServer:
    (port,) = free_ports(1)
    image = Image(
        name=_image(release),
        ports={database.DEFAULT_PORT: port},
        env={"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1"},
        args=(*FLAGS, *flags),
    )
    return _begun(release, folder, port, Container.of(image))


def _of_packages(release: Release, folder: Path, flags: tuple[str, ...]) -> MariaDBServer:
    root = _packages(release)
    (port,) = free_ports(1)
    share = root.folder / "usr" / "share" / release.share
    program = [
        *root.command("usr/sbin/mariadbd"),
        "--no-defaults",
        *database.as_root(),
        f"--basedir={root.folder / 'usr'}",
        f"--lc-messages-dir={share}",
    ]

    def initialise(data: Path) -> None:
        (data / "mysql").mkdir()
        scripts = [(share / name).read_bytes() for name in release.scripts]
        run(
            [*program, f"--datadir={data}", "--bootstrap"],
            doing="making a MariaDB data folder",
            seconds_max=INITIALISE_SECONDS_MAX,
            # Without a socket's user, root comes in with an empty password.
            stdin=b"use mysql;\nset @auth_root_socket=NULL;\n" + b"\n".join(scripts),
        )

    data = database.initialised(folder / "data", initialise)
    launch = database.launch(program, data, folder, port, (*FLAGS, *flags))
    return _begun(release, folder, port, Process.of(launch))


def _packages(release: Release) -> debian.Root:
    return debian.unpacked(
        f"mariadb-{release.version}", suite=release.suite, packages=PACKAGES, size=release.size
    )


def _begun(
    release: Release, folder: Path, port: int, carrier: Process | Container
) -> MariaDBServer:
    server = release.server(DatabaseAddress("127.0.0.1", port, "root"), carrier, folder)
    server.begin()
    return server
