"""Writing beside reading keeps order, raises what failed, and ends with everything written."""

import threading

import pytest

from cdc.errors import Unreachable
from cdc.model import Output
from cdc.overlap import WAITING_BYTES_MAX, WAITING_MAX, EitherEvent, Overlapped
from cdc.records import RecordBlock

WAIT_SECONDS = 10


class Sink:
    """Keeps outputs; a write waits until it is let through, and fails where it is told to."""

    def __init__(self, fails_at=None):
        self.kept, self.fails_at, self.is_closed = [], fails_at, False
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)

    def last_checkpoint(self):
        return "kept"

    def write(self, output):
        self.begun.release()
        assert self.may_end.acquire(timeout=WAIT_SECONDS)
        if output.checkpoint == self.fails_at:
            raise Unreachable("gone")
        self.kept.append((list(output.records), output.checkpoint, output.batches))

    def close(self):
        self.is_closed = True


def overlapped(fails_at=None):
    sink, failed = Sink(fails_at), threading.Event()
    return sink, failed, Overlapped(sink, failed, threading.Event())


def begun(over, sink):
    """The first write is under way."""
    over.write(Output(["a"], 1))
    assert sink.begun.acquire(timeout=WAIT_SECONDS)


def block(size):
    return RecordBlock(bytearray(size), bytearray(0), 0, [], [])


def write_beside(over, output):
    thread = threading.Thread(target=over.write, args=(output,))
    thread.start()
    return thread


def test_what_comes_while_one_is_written_is_written_together_behind_it():
    sink, _, over = overlapped()
    begun(over, sink)
    over.write(Output(["b", "c"], 2))
    over.write(Output([], 3))
    over.write(Output(["d"], 4))
    assert sink.kept == []
    sink.may_end.release(2)
    over.close()
    assert sink.kept == [(["a"], 1, 1), (["b", "c", "d"], 4, 3)]
    assert sink.is_closed


@pytest.mark.parametrize(
    ("waiting", "more"),
    [
        ([[]] * WAITING_MAX, []),
        ([block(WAITING_BYTES_MAX)], block(1)),
        ([block(WAITING_BYTES_MAX // 2)] * 2, block(1)),
        ([block(2 * WAITING_BYTES_MAX)], block(1)),
    ],
    ids=["outputs", "bytes", "bytes of several", "one that is too large"],
)
def test_what_waits_is_bounded(waiting, more):
    sink, _, over = overlapped()
    begun(over, sink)
    for records in waiting:
        over.write(Output(records, 2))
    thread = write_beside(over, Output(more, 3))
    thread.join(0.1)
    assert thread.is_alive()
    sink.may_end.release(3)
    thread.join(WAIT_SECONDS)
    over.close()
    assert [checkpoint for _, checkpoint, _ in sink.kept] == [1, 2, 3]


def test_who_waits_for_room_hears_of_a_failure():
    sink, _, over = overlapped(fails_at=1)
    begun(over, sink)
    over.write(Output(block(WAITING_BYTES_MAX), 2))
    raised = []

    def write():
        try:
            over.write(Output(block(1), 3))
        except Unreachable as error:
            raised.append(error.message)

    thread = threading.Thread(target=write)
    thread.start()
    sink.may_end.release(3)
    thread.join(WAIT_SECONDS)
    over.close()
    assert (raised, sink.kept) == (["gone"], [])


def test_what_a_write_raised_comes_out_of_the_next_call_and_nothing_follows_it():
    sink, failed, over = overlapped(fails_at=1)
    sink.may_end.release(2)
    over.write(Output([], 1))
    assert failed.wait(WAIT_SECONDS)
    with pytest.raises(Unreachable, match="gone"):
        over.write(Output([], 2))
    over.close()
    assert (sink.kept, sink.is_closed) == ([], True)


def test_closing_writes_the_last_output_or_says_that_it_could_not():
    sink, _, over = overlapped(fails_at=2)
    begun(over, sink)
    over.write(Output([], 2))
    sink.may_end.release(2)
    with pytest.raises(Unreachable, match="gone"):
        over.close()
    assert (sink.kept, sink.is_closed) == ([(["a"], 1, 1)], True)


def test_it_says_while_nothing_is_being_written():
    sink, idle = Sink(), threading.Event()
    over = Overlapped(sink, threading.Event(), idle)
    assert idle.is_set()
    over.write(Output([], 1))
    assert not idle.is_set()
    sink.may_end.release()
    assert idle.wait(WAIT_SECONDS)
    over.close()


def test_an_either_event_is_set_by_itself_and_by_the_other():
    other = threading.Event()
    one, two = EitherEvent(other), EitherEvent(other)
    one.set()
    assert one.is_set()
    assert not two.is_set()
    other.set()
    assert two.is_set()
