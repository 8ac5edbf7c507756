"""A connector's files in a folder of a test's own, and `cdc` as processes over them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.codec.avro import SchemaCache
from cdc.config import ConnectorConfig, load
from cdc.model import Message
from cdc.services import DatabaseAddress
from cdc.tailing import shown
from cdc.wiring.ends import open_log, open_registry

COMMAND = (sys.executable, "-c", "from cdc.cli import main; main()")
Section = dict[str, Any]
"""A section of a connector file."""
SECONDS_MAX = 60.0
LOOK_SECONDS = 0.05
LISTENING = re.compile(r"listening +address=(http://\S+)")


def wait_until(
    condition: Callable[[], Any], what: Callable[[], str] | str, seconds_max: float = SECONDS_MAX
) -> Any:
    """What the condition gives when it first holds; `what` is told if it never does."""
    deadline = time.monotonic() + seconds_max
    while not (found := condition()):
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds_max:g} s: {said}")
        time.sleep(LOOK_SECONDS)
    return found


@dataclass
class Child:
    """A `cdc` process; what it prints goes to files."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def printed(self) -> str:
        return self.out.read_text()

    @property
    def said(self) -> str:
        """Its log lines."""
        return self.err.read_text()

    def wait_said(self, text: str, count: int = 1) -> None:
        """Until its log lines hold the text so often; it must not end before."""
        self._wait_for(text, count, lambda: self.said)

    def wait_running(self, count: int = 1) -> None:
        """Until so many stages were said to run."""
        self.wait_said("running  ", count)

    def wait_printed(self, text: str) -> None:
        """Until it has printed the text; it must not end before."""
        self._wait_for(text, 1, lambda: self.printed)

    def _wait_for(self, text: str, count: int, where: Callable[[], str]) -> None:
        def is_there() -> bool:
            has_ended = self.process.poll() is not None
            if where().count(text) >= count:
                return True
            assert not has_ended, f"ended without {text!r}: {self.printed} {self.said}"
            return False

        wait_until(is_there, lambda: f"{text!r} in {self.printed} {self.said}")

    @property
    def address(self) -> str:
        """Where it answers over HTTP."""
        self.wait_said("address=")
        match = LISTENING.search(self.said)
        assert match, self.said
        return match[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end: {self.said}") from None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()


@dataclass
class Project:
    """A folder as a user has it: `connectors/`, `schemas/`; all that is kept lies in it."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    """What `started` puts before the command: what it is to run in."""
    _children: int = 0

    @property
    def environment(self) -> dict[str, str]:
        run = {"XDG_RUNTIME_DIR": str(self.folder / "run"), "COLUMNS": "300", "TERM": "dumb"}
        return {**os.environ, **run, **self.variables}

    def write(self, config: Mapping[str, Any] | str, name: str = "shop") -> Path:
        """The connector file; JSON is YAML."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        path = self.folder / "connectors" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def write_schema(self, stream: str, event: str, fields: Mapping[str, Any]) -> Path:
        """`schemas/<stream>/v1/<event>.avsc`; a field's type that is a pair has a default."""
        path = self.folder / "schemas" / stream / "v1" / f"{event}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "type": "record",
            "name": event,
            "namespace": f"shop.{stream}.v1",
            "fields": [{"name": name, "type": type_} for name, type_ in fields.items()],
        }
        path.write_text(json.dumps(record, indent=1))
        return path

    def load(self, file: Path) -> ConnectorConfig:
        return load(file, self.environment)

    def run(
        self, *arguments: object, code: int = 0, seconds_max: float = SECONDS_MAX
    ) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself, with this exit code."""
        ended = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds_max,
        )
        assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
        return ended

    @contextmanager
    def started(self, *arguments: object) -> Iterator[Child]:
        """A command that goes on, killed at the end of the block if it still does."""
        self._children += 1
        out = self.folder / f"child-{self._children}.out"
        err = self.folder / f"child-{self._children}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*self.before, *COMMAND, *map(str, arguments)],
                cwd=self.folder,
                env={**self.environment, "PYTHONUNBUFFERED": "1"},
                stdout=out_file,
                stderr=err_file,
            )
        child = Child(process, out, err)
        try:
            yield child
        finally:
            child.kill()


def source_section(address: DatabaseAddress, *tables: str, **more: Any) -> Section:
    """The section `source:` for this server."""
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "start": "latest",
        "tables": list(tables),
        "heartbeat_seconds": 1,
        **more,
    }


def kafka_log(address: str, **more: Any) -> Section:
    """The section `log:`; a group's member that is killed is missed as soon as may be."""
    options = {"session.timeout.ms": 6000}
    return {"kind": "kafka", "bootstrap_servers": address, "options": options, **more}


def events_of(config: ConnectorConfig, topic: str) -> list[dict[str, Any]]:
    """All committed records of a topic, decoded, by partition and offset."""
    with closing(open_log(config)) as log, closing(open_registry(config)) as registry:
        if topic not in log.topics():
            return []
        schemas = SchemaCache(registry)
        messages = sorted(log.follow(topic, {}, wait_seconds=0), key=_place)
        return [shown(message, schemas) for message in messages]


def _place(message: Message) -> tuple[int, int]:
    return message.partition, message.offset


def revisions(events: Sequence[Mapping[str, Any]]) -> list[tuple[int, ...]]:
    """The revision of each change event: epoch, sequence, ordinal."""
    return [tuple(map(int, one["headers"]["cdc_revision"].split("."))) for one in events]
