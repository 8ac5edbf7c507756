"""A topic as source and sink of a stage, run by the one loop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cdc.log.embedded import EmbeddedLog
from cdc.log.sink import CheckpointSink, TopicSink
from cdc.log.source import MessageBatch, TopicSource
from cdc.loop import run
from cdc.model import Offsets, Output, Record, TopicSpec


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedLog:
    log = EmbeddedLog(tmp_path / "log.db")
    log.create_topics([TopicSpec("in", 2), TopicSpec("out")])
    return log


class Copy:
    """Copies records that aren't `drop`, and fails once at `poison`; stops after `last`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._has_failed = False

    def __call__(self, batch: MessageBatch) -> Output[Record, Offsets]:
        records = []
        for message in batch.messages:
            if message.value == b"poison" and not self._has_failed:
                self._has_failed = True
                raise ZeroDivisionError
            if message.value == b"last":
                self._stop.set()
            if message.value != b"drop":
                records.append(Record("out", 0, message.key, message.value))
        return Output(records, batch.offsets)


def copy(log: EmbeddedLog, step: Copy, stop: threading.Event) -> None:
    reader = log.reader(["in"], "g")
    source = TopicSource(reader, records_max=3, poll_wait_seconds=0.05, stop=stop)
    sink = TopicSink(log.writer("copy"), reader)
    try:
        run(source, step, sink)
    finally:
        source.close()
        sink.close()


def test_a_stage_from_log_to_log_loses_and_doubles_nothing_when_it_fails(log: EmbeddedLog) -> None:
    stop = threading.Event()
    step = Copy(stop)
    words = [b"a", b"drop", b"b", b"c", b"drop", b"poison", b"d", b"drop", b"last"]
    log.writer("w").write([Record("in", 0, b"k", word) for word in words])
    with pytest.raises(ZeroDivisionError):
        copy(log, step, stop)
    copy(log, step, stop)
    found = [message.value for message in log.follow("out", {}, wait_seconds=0)]
    assert found == [word for word in words if word != b"drop"]


def test_offsets_are_committed_when_a_batch_gives_no_records(log: EmbeddedLog) -> None:
    stop = threading.Event()
    writer = log.writer("w")
    writer.write([Record("in", 0, b"k", b"drop"), Record("in", 0, b"k", b"drop")])
    reader = log.reader(["in"], "g")
    sink = TopicSink(log.writer("copy"), reader)
    batches = TopicSource(reader, records_max=9, poll_wait_seconds=1, stop=stop).read(None)
    sink.write(Copy(stop)(next(batches)))
    reader.close()
    writer.write([Record("in", 0, b"k", b"last")])
    again = log.reader(["in"], "g")
    again.start(None)
    assert [message.value for message in again.poll(9, 0)] == [b"last"]
    again.close()


def test_a_source_ends_when_it_is_told_to_stop(log: EmbeddedLog) -> None:
    stop = threading.Event()
    stop.set()
    source = TopicSource(log.reader(["in"], "g"), records_max=9, poll_wait_seconds=9, stop=stop)
    assert list(source.read(None)) == []
    source.close()


def test_a_checkpoint_comes_back_decoded(log: EmbeddedLog) -> None:
    def sink() -> CheckpointSink[int]:
        return CheckpointSink(log.writer("capture"), lambda n: b"%d" % n, int)

    assert sink().last_checkpoint() is None
    sink().write(Output([Record("out", 0, b"k", b"v")], 41))
    first = sink()
    first.write(Output([], 42))
    assert sink().last_checkpoint() == 42
    assert len(list(log.follow("out", {}, wait_seconds=0))) == 1
