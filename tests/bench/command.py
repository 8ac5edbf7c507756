"""`cdc run` in a process of its own, over a connector file in a folder of its own."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.services import DatabaseAddress
from tests.bench.place import Place
from tests.bench.reading import Decoder, Destination
from tests.bench.running import Taken, taken
from tests.bench.targets import Target
from tests.connectors import Child, Project, source_section


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector file in a folder of its own."""

    name: str
    folder: Path
    file: Path
    project: Project

    def change_topic(self, place: Place) -> str:
        return f"{self.name}.{place.full_name}"

    @contextmanager
    def running(self, *options: str) -> Iterator[Child]:
        """`cdc run` of it; it must end well at SIGTERM."""
        with self.project.started("run", self.file, *options) as child:
            yield child
            code = child.stop()
            if code != 0:
                raise RuntimeError(f"cdc run ended with {code}: {child.said}")


def connector(
    folder: Path,
    target: Target,
    address: DatabaseAddress,
    place: Place,
    sections: Mapping[str, Any],
    variables: Mapping[str, str],
) -> Connector:
    """A connector with a name that none had before, so that it starts afresh."""
    name = f"bench-{secrets.token_hex(4)}"
    own = folder / name
    own.mkdir(parents=True)
    project = Project(own, variables)
    source = source_section(address, place.full_name, start=place.start, heartbeat_seconds=5)
    config = {
        "connector": name,
        "source": source,
        "http": {"port": 0},
        **target.sections(own),
        **sections,
    }
    return Connector(name, own, project.write(config, name), project)


@dataclass(frozen=True)
class Capture:
    """Ours: the capture stage of a new connector."""

    folder: Path
    target: Target
    address: DatabaseAddress
    sections: Mapping[str, Any] = field(default_factory=dict)
    """Of the connector file, beyond where from and where to."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment."""
    label: str = "cdc"

    def start(self, place: Place) -> CaptureRun:
        made = connector(
            self.folder, self.target, self.address, place, self.sections, self.variables
        )
        topic = self.target.topic(made.folder, made.change_topic(place))
        decoder = self.target.decoder(made.folder, place.checked)
        stack = ExitStack()
        begun = time.monotonic()
        child = stack.enter_context(made.running("--stage", "capture"))
        return CaptureRun(begun, topic, decoder, made, stack, child)


@dataclass(slots=True)
class CaptureRun:
    """A running `cdc run --stage capture`."""

    begun: float
    topic: Destination
    decoder: Decoder
    connector: Connector
    _stack: ExitStack
    _child: Child

    @property
    def said(self) -> str:
        return self._child.said

    def wait_streaming(self) -> None:
        self._child.wait_running()

    def is_alive(self) -> bool:
        return self._child.process.poll() is None

    def taken(self) -> Taken:
        return taken(self._child.process.pid)

    def stop(self) -> None:
        self._stack.close()

    def close(self) -> None:
        self._child.kill()
        self.topic.close()
        shutil.rmtree(self.connector.folder, ignore_errors=True)
