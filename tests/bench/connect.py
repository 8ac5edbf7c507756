"""A Kafka Connect worker of the benchmark's own, and its HTTP API."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.services import java
from cdc.services.command import last_lines
from cdc.services.freeport import free_ports
from cdc.services.kafka import LOGGING
from tests.bench.debezium_jars import jars

JAVA_VERSION_MIN = 17
READY_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.05
ANSWER_SECONDS_MAX = 30.0
LINES_SHOWN = 30


@dataclass(slots=True)
class Worker:
    """A running Kafka Connect, standalone."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    _log_begin: int = 0

    @property
    def said(self) -> str:
        return last_lines(self.log.read_text(errors="replace"), LINES_SHOWN)

    def create(
        self, name: str, config: Mapping[str, str], source: Mapping[str, str], at: Mapping[str, Any]
    ) -> None:
        """Makes a connector, stopped, that begins at this place of the source."""
        self._log_begin = self.log.stat().st_size
        self._ask("POST", "", {"name": name, "config": config, "initial_state": "STOPPED"})
        self._until("a connector is stopped", lambda: self._state(name) == "STOPPED")
        offsets = [{"partition": source, "offset": at}]
        self._ask("PATCH", f"/{name}/offsets", {"offsets": offsets})

    def resume(self, name: str) -> None:
        """Lets the connector go on."""
        self._ask("PUT", f"/{name}/resume")

    def delete(self, name: str) -> None:
        """Ends the connector."""
        self._ask("DELETE", f"/{name}")

    def failure(self, name: str) -> str | None:
        """What its task ended with, if it did."""
        tasks = self._ask("GET", f"/{name}/status")["tasks"]
        return next((str(one["trace"]) for one in tasks if one["state"] == "FAILED"), None)

    def wait_said(self, text: str) -> None:
        """Until its log has the text, since the newest connector was made."""
        wanted = text.encode()
        self._until(text, lambda: wanted in self.log.read_bytes()[self._log_begin :])

    def freeze(self) -> None:
        """It takes no time until `thaw`."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def wait_ready(self) -> None:
        """Until it answers."""
        self._until("it answers", self._answers)

    def _answers(self) -> bool:
        try:
            return isinstance(self._ask("GET", ""), list)
        except (OSError, RuntimeError):
            return False  # it listens before it knows its own paths

    def _state(self, name: str) -> str:
        return str(self._ask("GET", f"/{name}/status")["connector"]["state"])

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"waited for Kafka Connect until {what}: {self.said}")
            time.sleep(LOOK_SECONDS)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/connectors{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            said = refused.read().decode(errors="replace")
            raise RuntimeError(f"Kafka Connect refused {method} {path}: {said}") from refused
        return json.loads(text) if text else None


@contextmanager
def worker(folder: Path, bootstrap_servers: str, heap: str) -> Iterator[Worker]:
    """A worker with the plugins of `debezium_jars`, ended with the block."""
    found = jars()
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    config = folder / "connect.properties"
    lines = {
        "bootstrap.servers": bootstrap_servers,
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.path": str(found.plugins),
        "offset.storage.file.filename": str(folder / "offsets"),
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }
    config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    logging, log = folder / "log4j.properties", folder / "log"
    logging.write_text(LOGGING)
    program = [java.find(JAVA_VERSION_MIN), f"-Xmx{heap}", f"-Dlog4j.configuration=file:{logging}"]
    main = ["-cp", f"{found.worker}/*", "org.apache.kafka.connect.cli.ConnectStandalone"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*program, *main, str(config)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    made = Worker(process, f"http://127.0.0.1:{port}", log)
    try:
        made.wait_ready()
        yield made
    finally:
        process.kill()  # an orderly end takes seconds, for data that nobody needs
        process.wait(STOP_SECONDS_MAX)
