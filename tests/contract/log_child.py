"""Processes that the log's contract tests kill: `python -m tests.contract.log_child …`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog
from cdc.model import Record
from cdc.ports import Log

HANG_SECONDS = 300.0
"""A child that nobody kills ends after this."""

SHORT_LEASES = {
    "heartbeat.interval.ms": 300,
    "session.timeout.ms": 6000,  # the least that a broker allows
    "max.poll.interval.ms": 6000,
}


def open_log(kind: str, address: str, *, lease_seconds: float = 0.5) -> Log:
    """The log that the tests are about, with members that are soon found dead."""
    if kind == "kafka":
        return KafkaLog(address, SHORT_LEASES, timeout_seconds=20)
    return EmbeddedLog(Path(address), timeout_seconds=20, lease_seconds=lease_seconds)


class Hanging(Sequence[Record]):
    """Gives its records and then no end: whoever writes it stays in the transaction."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        yield from self._records
        print("hanging", flush=True)
        time.sleep(HANG_SECONDS)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | Sequence[Record]:
        return self._records[at]


def hang_in_transaction(log: Log, topic: str, name: str) -> None:
    """Write 1,000 records and a checkpoint, never reaching the commit."""
    records = [Record(topic, i, b"k", b"never %d" % i) for i in range(1000)]
    log.writer(name).write(Hanging(records), checkpoint=b"never")


def hold_partitions(log: Log, topic: str, group: str) -> None:
    """Read as a member of the group, until killed."""
    reader = log.reader([topic], group)
    reader.start(None)
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        if reader.poll(10, 0.1):
            print("hanging", flush=True)


def write_much(log: Log, topic: str, name: str) -> None:
    """40 transactions of 50 records, each with its number; the checkpoint is the last number."""
    writer = log.writer(name)
    for first in range(0, 2000, 50):
        writer.write(
            [Record(topic, i, name.encode(), b"%d" % i) for i in range(first, first + 50)],
            checkpoint=b"%d" % (first + 49),
        )


if __name__ == "__main__":
    job, kind, address, topic, name = sys.argv[1:]
    jobs = {job.__name__: job for job in (hang_in_transaction, hold_partitions, write_much)}
    jobs[job](open_log(kind, address, lease_seconds=2), topic, name)
