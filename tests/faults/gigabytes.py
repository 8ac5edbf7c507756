"""One transaction of gigabytes: each row once, in order, in bounded memory, however often cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from cdc.codec.avro import SchemaCache
from cdc.config import ConnectorConfig
from cdc.tailing import shown
from cdc.wiring.ends import open_log, open_registry
from tests.bench.running import taken
from tests.connectors import Child, Project, source_section, wait_until
from tests.faults.cases import Cases
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.faults.striking import Outcome
from tests.services_plugin import FreshDatabase
from tests.shop import here

CASES = Cases("source")

ROWS = 2_400
ROW_BYTES = 900_000
"""A record that the broker takes with its own settings."""
KILLED_AFTER = (800, 1_600)
QUIET_SECONDS = 5.0
STALLED_SECONDS_MAX = 120.0


@dataclass
class Seen:
    """What is in the topic, looked at as it comes: it is more than fits into memory."""

    config: ConnectorConfig
    topic: str
    ids: list[int] = field(default_factory=list)
    wrong: int = 0
    start: dict[tuple[str, int], int] = field(default_factory=dict)

    def wait(self, count: int, child: Child) -> None:
        """Until so many rows are there."""
        wait_until(lambda: self._look(count), lambda: child.said, STALLED_SECONDS_MAX)

    def rest(self) -> None:
        """What came behind those."""
        while self._look(len(self.ids) + 1):
            pass

    def _look(self, count: int) -> bool:
        """Read on; whether there are so many now."""
        for number, text in self._rows():
            self.ids.append(number)
            self.wrong += text != letter(number) * ROW_BYTES
            if len(self.ids) >= count:
                return True
        return False

    def _rows(self) -> Iterator[tuple[int, str]]:
        with closing(open_log(self.config)) as log, closing(open_registry(self.config)) as registry:
            if self.topic not in log.topics():
                return
            schemas = SchemaCache(registry)
            for one in log.follow(self.topic, self.start, wait_seconds=QUIET_SECONDS):
                self.start[one.topic, one.partition] = one.offset + 1
                after = shown(one, schemas)["value"]["after"]
                yield after["id"], after["v"]

    def report(self) -> Report:
        found = Report(records=len(self.ids), changes=ROWS, transactions=1)
        found.faults["lost"] = ROWS - len(set(self.ids))
        found.faults["doubled"] = len(self.ids) - len(set(self.ids))
        found.faults["out_of_order"] = sum(
            a > b for a, b in zip(self.ids, self.ids[1:], strict=False)
        )
        found.faults["wrong_content"] = self.wrong
        return found


@CASES(
    f"a transaction of {ROWS * ROW_BYTES / 1e9:.1f} GB, the connector killed twice inside it",
    "cuts it into Kafka transactions of bounded size, goes on inside it; memory stays as it is",
)
def gigabytes(stand: Stand, seed: int) -> Outcome:
    outcome = Outcome()
    with stand.database() as database:
        database.execute("create table fat (id int primary key, v longtext character set ascii)")
        project = Project(stand.new_folder())
        config = {
            "connector": f"fat_{seed}",
            "source": source_section(
                database.server.address, f"{database.name}.fat", **here(database)
            ),
            "topics": {"changes": {"partitions": 1}},
            "http": {"port": 0},
            **stand.over_kafka,
        }
        file = project.write(config, "fat")
        seen = Seen(project.load(file), f"fat_{seed}.{database.name}.fat")
        for kill_after in (*KILLED_AFTER, None):
            with project.started("run", file, "--stage", "capture") as child:
                child.wait_running()
                if not outcome.strikes:
                    write(database)
                seen.wait(kill_after or ROWS, child)
                outcome.rss_bytes = max(outcome.rss_bytes, taken(child.process.pid).peak_rss_bytes)
                if kill_after:
                    child.kill()
                    outcome.strikes += 1
                    continue
                assert child.stop() == 0, child.said
        seen.rest()
        database.execute("drop table fat")
    outcome.report = seen.report()
    return outcome


def write(database: FreshDatabase) -> None:
    """All rows in one transaction."""
    with (
        database.server.connect(database=database.name, autocommit=False) as connection,
        connection.cursor() as cursor,
    ):
        for number in range(ROWS):
            cursor.execute(
                "insert into fat values (%s, repeat(%s, %s))", (number, letter(number), ROW_BYTES)
            )
        connection.commit()


def letter(number: int) -> str:
    """What a row is filled with."""
    return chr(ord("a") + number % 26)
