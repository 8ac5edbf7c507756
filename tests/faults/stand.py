"""The servers that faults strike, each started when it is first needed."""

from __future__ import annotations

import base64
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from cdc.services import KafkaServer, MySQLServer, RegistryServer, Server, kafka, mysql, registry
from cdc.services.freeport import free_ports
from tests.bench.servers import ended
from tests.connectors import Section, kafka_log
from tests.faults.rig import over_kafka
from tests.proxy import Proxy
from tests.services_plugin import FreshDatabase, fresh_database

S = TypeVar("S", bound=Server)
BROKERS = 3
FACTORS = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
)
IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr")


@contextmanager
def proxied_kafka(folder: Path, at: str) -> Iterator[tuple[KafkaServer, Proxy]]:
    """A broker that may also be reached through a proxy, which listens at this address."""
    (port,) = free_ports(1)
    with Proxy("127.0.0.1", port, at=at) as proxy:

        def adapt(settings: dict[str, str]) -> dict[str, str]:
            name = "PROXIED"
            more = {
                "listeners": f"{name}://127.0.0.1:{port}",
                "advertised.listeners": f"{name}://{at}:{proxy.port}",
                "listener.security.protocol.map": f"{name}:PLAINTEXT",
            }
            # Looked at each 10 s otherwise.
            often = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
            added = {key: f"{settings[key]},{one}" for key, one in more.items()}
            return settings | added | often

        with ended(kafka.start(folder, kafka.Node(adapt)), folder) as server:
            yield server, proxy


class Stand:
    """Servers in a folder of their own, ended with all that they keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._held = ExitStack()
        self._folders = 0

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def new_folder(self) -> Path:
        """One for a run."""
        self._folders += 1
        folder = self.folder / f"run-{self._folders}"
        folder.mkdir()
        return folder

    @cached_property
    def mysql(self) -> MySQLServer:
        """Durable, as MySQL is by itself: `sync_binlog=1`."""
        return self._started("mysql", mysql.start)

    @cached_property
    def kafka(self) -> KafkaServer:
        """One broker; the connector may reach it through `kafka_proxy`."""
        server, self.kafka_proxy = self._held.enter_context(
            proxied_kafka(self.folder / "kafka", "127.0.0.1")
        )
        return server

    @cached_property
    def brokers(self) -> Sequence[KafkaServer]:
        """Three that hold each other's copies; all are controllers, too."""
        cluster, controllers = (
            base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            free_ports(BROKERS),
        )
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(controllers, 1))

        def started(number: int) -> KafkaServer:
            (port,) = free_ports(1)
            settings = {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{port},"
                f"CONTROLLER://127.0.0.1:{controllers[number - 1]}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "broker.session.timeout.ms": "3000",
                "broker.heartbeat.interval.ms": "500",
            }
            settings |= dict.fromkeys(FACTORS, str(BROKERS)) | dict.fromkeys(IN_SYNC, "2")
            node = kafka.Node(lambda usual: usual | settings, "-Xmx256m", cluster)
            return self._started(f"broker-{number}", lambda at: kafka.start(at, node))

        # Each answers only when two are up.
        with ThreadPoolExecutor(BROKERS) as starters:
            return list(starters.map(started, range(1, BROKERS + 1)))

    @cached_property
    def registry(self) -> RegistryServer:
        return self._started("registry", registry.start)

    @property
    def over_kafka(self) -> dict[str, Section]:
        """The sections for the broker without a proxy."""
        return over_kafka(self.kafka.url)

    @property
    def by_kafka_proxy(self) -> Section:
        """The section `log:` of a connector that goes through the proxy."""
        assert self.kafka.is_ours  # starts it
        return kafka_log(f"127.0.0.1:{self.kafka_proxy.port}")

    def execute(self, *statements: str) -> None:
        """Statements of the server's own user that the binlog doesn't hold."""
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            for statement in ("set sql_log_bin = 0", *statements):
                cursor.execute(statement)

    @contextmanager
    def database(self) -> Iterator[FreshDatabase]:
        """A fresh one of the MySQL."""
        with fresh_database(self.mysql) as database:
            yield database

    def _started(self, name: str, start: Callable[[Path], S]) -> S:
        folder = self.folder / name
        return self._held.enter_context(ended(start(folder), folder))
