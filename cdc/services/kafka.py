"""A Kafka of our own: one node, broker and controller in one (KRaft)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cdc.services import docker, java, maven
from cdc.services.cache import kept
from cdc.services.command import run
from cdc.services.docker import Container, Image
from cdc.services.freeport import free_ports
from cdc.services.process import Launch, Process
from cdc.services.progress import tell
from cdc.services.server import ENVIRONMENT_SECONDS_MAX, Server
from cdc.services.ways import Way, WayClosed, first_open

VARIABLE = "CDC_KAFKA"
VERSION = "4.3.1"
IMAGE = f"apache/kafka:{VERSION}"
JAVA_VERSION_MIN = 17
ARTIFACTS = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    f"org.apache.kafka:kafka-tools:{VERSION}",
    "org.slf4j:slf4j-reload4j:1.7.36",
    "ch.qos.reload4j:reload4j:1.2.25",
)
MEMORY = "-Xmx1g"
FORMAT_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 3.0
ANSWER_BYTES_MAX = 1 << 16

LOGGING = """\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c: %m%n
"""
# The request that every broker answers without more ado: ApiVersions, version 0.
API_VERSIONS_REQUEST = struct.pack(">hhih", 18, 0, 1, -1)


@dataclass(frozen=True)
class Node:
    """What of a node of our own is to be other than usual."""

    adapt: Callable[[dict[str, str]], Mapping[str, str]] = dict
    """Its settings, given those that it would have; clients use the first of `listeners`."""
    memory: str = MEMORY
    cluster: str = ""
    """The id of the cluster that it belongs to; empty: its own."""


class KafkaServer(Server):
    """A running Kafka; `url` is host:port, to be used as bootstrap.servers."""

    kind = "kafka"
    label = f"Kafka {VERSION}"

    def refusal(self) -> str | None:
        """Why the broker serves nobody now; None if it answers a request."""
        # A port that is open isn't enough: the broker listens before it serves.
        host, _, port = self.url.split(",")[0].rpartition(":")
        try:
            with socket.create_connection((host, int(port)), ANSWER_SECONDS_MAX) as broker:
                request = API_VERSIONS_REQUEST
                broker.sendall(struct.pack(">i", len(request)) + request)
                head = broker.recv(4, socket.MSG_WAITALL)
        except (OSError, ValueError) as refused:
            return str(refused)
        if len(head) < 4 or not 0 < int.from_bytes(head) <= ANSWER_BYTES_MAX:
            return "what answers isn't Kafka without encryption"
        return None


def find(folder: Path) -> KafkaServer:
    """The Kafka that the environment names, else one of our own in `folder`."""
    ways: list[Way[KafkaServer]] = [("environment", _of_environment)]
    return first_open(KafkaServer.label, VARIABLE, ways + _own_ways(folder))


def start(folder: Path, node: Node | None = None) -> KafkaServer:
    """A Kafka of our own, with its data in `folder`; a process, where a node is described."""
    if node is None:
        return first_open(KafkaServer.label, VARIABLE, _own_ways(folder))
    way = partial(_of_packages, folder.absolute(), node)
    return first_open(KafkaServer.label, VARIABLE, [("packages", way)])


def fetch() -> None:
    """Downloads what `start` needs, so that it is quick."""
    ways: list[Way[object]] = [("Docker", partial(docker.fetch, IMAGE)), ("packages", _jars)]
    first_open(KafkaServer.label, VARIABLE, ways)


def java_program() -> list[str]:
    """How one of Kafka's own programs is run, up to the name of its class."""
    return [java.find(JAVA_VERSION_MIN), "-cp", f"{_jars()}/*"]


def properties(
    broker_port: int, controller_port: int, *, host: str = "127.0.0.1"
) -> dict[str, str]:
    """The settings of a node that stands alone; it listens for clients on `host`."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{host}:{broker_port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        # One node can't hold the three copies that these default to.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }


def image_env(settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings as the image reads them: KAFKA_PROCESS_ROLES for process.roles."""
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}


def _own_ways(folder: Path) -> list[Way[KafkaServer]]:
    folder = folder.absolute()
    return [
        ("Docker", partial(_in_docker, folder)),
        ("packages", partial(_of_packages, folder)),
    ]


def _of_environment() -> KafkaServer:
    address = os.environ.get(VARIABLE)
    if not address:
        raise WayClosed(f"{VARIABLE} isn't set")
    server = KafkaServer(address, None, None)
    server.wait_ready(ENVIRONMENT_SECONDS_MAX)
    return server


def _in_docker(folder: Path) -> KafkaServer:
    broker_port, controller_port = free_ports(2)
    image = Image(
        name=IMAGE,
        # The same port inside: what is advertised must be right on both sides.
        ports={broker_port: broker_port},
        env=image_env(properties(broker_port, controller_port, host="0.0.0.0")),  # noqa: S104 - inside
    )
    return _begun(folder, broker_port, Container.of(image))


def _of_packages(folder: Path, node: Node = Node()) -> KafkaServer:
    program = java_program()
    broker_port, controller_port = free_ports(2)
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    settings = node.adapt({**properties(broker_port, controller_port), "log.dirs": str(data)})
    port = int(settings["listeners"].split(",")[0].rpartition(":")[2])
    config = folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    logging = folder / "log4j.properties"
    logging.write_text(LOGGING)
    if not (data / "meta.properties").exists():
        _format(program, config, node.cluster)
    launch = Launch(
        argv=(
            program[0],
            node.memory,
            f"-Dlog4j.configuration=file:{logging}",
            *program[1:],
            "kafka.Kafka",
            str(config),
        ),
        folder=folder,
        log=folder / "log",
    )
    return _begun(folder, port, Process.of(launch))


def _jars() -> Path:
    def fetch(folder: Path) -> None:
        maven.need_mvn()
        tell(f"getting the jars of Kafka {VERSION} (55 MB) …")
        maven.jars(ARTIFACTS, folder)

    return kept(f"kafka-{VERSION}", fetch)


def _format(program: list[str], config: Path, cluster: str) -> None:
    storage = [*program, "kafka.tools.StorageTool"]
    doing = "making a Kafka data folder"
    if not cluster:
        said = run([*storage, "random-uuid"], doing=doing, seconds_max=FORMAT_SECONDS_MAX)
        cluster = said.split()[-1]  # logging goes to the same stream
    command = [*storage, "format", "-t", cluster, "-c", str(config)]
    run(command, doing=doing, seconds_max=FORMAT_SECONDS_MAX)


def _begun(folder: Path, port: int, carrier: Process | Container) -> KafkaServer:
    server = KafkaServer(f"127.0.0.1:{port}", carrier, folder)
    server.begin()
    return server
