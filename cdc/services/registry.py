"""A schema registry of our own: Apicurio, which speaks Confluent's API; it keeps all in memory."""

from __future__ import annotations

import json
import os
import tarfile
import urllib.request
from functools import partial
from pathlib import Path

from cdc.services import docker, java, maven
from cdc.services.cache import kept
from cdc.services.docker import Container, Image
from cdc.services.freeport import free_ports
from cdc.services.process import Launch, Process
from cdc.services.progress import tell
from cdc.services.server import ENVIRONMENT_SECONDS_MAX, Server
from cdc.services.ways import Way, WayClosed, first_open

VARIABLE = "CDC_REGISTRY"
VERSION = "3.3.3"
IMAGE = f"apicurio/apicurio-registry:{VERSION}"
IMAGE_PORT = 8080
JAVA_VERSION_MIN = 21
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
MEMORY = "-Xmx512m"
CONFLUENT_PATH = "/apis/ccompat/v7"
ANSWER_SECONDS_MAX = 5.0


class RegistryServer(Server):
    """A running registry; `url` is the base of Confluent's API."""

    kind = "registry"
    label = f"schema registry (Apicurio {VERSION})"

    def refusal(self) -> str | None:
        """Why the registry serves nobody now; None if it lists its subjects."""
        try:
            with urllib.request.urlopen(  # noqa: S310 - the address is http or https
                f"{self.url}/subjects", timeout=ANSWER_SECONDS_MAX
            ) as answer:
                json.load(answer)
        except (OSError, ValueError) as refused:
            return str(refused)
        return None


def find(folder: Path) -> RegistryServer:
    """The registry that the environment names, else one of our own in `folder`."""
    ways: list[Way[RegistryServer]] = [("environment", _of_environment)]
    return first_open(RegistryServer.label, VARIABLE, ways + _own_ways(folder))


def start(folder: Path) -> RegistryServer:
    """A registry of our own; what it holds is gone after a restart."""
    return first_open(RegistryServer.label, VARIABLE, _own_ways(folder))


def fetch() -> None:
    """Downloads what `start` needs, so that it is quick."""
    ways: list[Way[object]] = [("Docker", partial(docker.fetch, IMAGE)), ("packages", _app)]
    first_open(RegistryServer.label, VARIABLE, ways)


def _own_ways(folder: Path) -> list[Way[RegistryServer]]:
    folder = folder.absolute()
    return [
        ("Docker", partial(_in_docker, folder)),
        ("packages", partial(_of_packages, folder)),
    ]


def _of_environment() -> RegistryServer:
    address = os.environ.get(VARIABLE)
    if not address:
        raise WayClosed(f"{VARIABLE} isn't set")
    server = RegistryServer(address.rstrip("/"), None, None)
    server.wait_ready(ENVIRONMENT_SECONDS_MAX)
    return server


def _in_docker(folder: Path) -> RegistryServer:
    (port,) = free_ports(1)
    return _begun(folder, port, Container.of(Image(name=IMAGE, ports={IMAGE_PORT: port})))


def _of_packages(folder: Path) -> RegistryServer:
    runtime = java.find(JAVA_VERSION_MIN)
    app = _app()
    port, management_port = free_ports(2)
    folder.mkdir(parents=True, exist_ok=True)
    launch = Launch(
        argv=(runtime, MEMORY, "-jar", str(app / "quarkus-run.jar")),
        folder=folder,
        log=folder / "log",
        env={
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(management_port),
        },
    )
    return _begun(folder, port, Process.of(launch))


def _app() -> Path:
    def fetch(folder: Path) -> None:
        maven.need_mvn()
        tell(f"getting the schema registry Apicurio {VERSION} (159 MB) …")
        packed = maven.archive(ARTIFACT, folder / "packed")
        with tarfile.open(packed) as archive:
            archive.extractall(folder / "app", filter="data")
        packed.unlink()

    (jar,) = kept(f"apicurio-{VERSION}", fetch).glob("app/**/quarkus-run.jar")
    return jar.parent


def _begun(folder: Path, port: int, carrier: Process | Container) -> RegistryServer:
    server = RegistryServer(f"http://127.0.0.1:{port}{CONFLUENT_PATH}", carrier, folder)
    server.begin()
    return server
