"""Writing beside reading keeps order, raises what failed, and ends with everything written."""

import threading

import pytest

from cdc.errors import Unreachable
from cdc.model import Output
from cdc.overlap import EitherEvent, Overlapped

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
        self.kept.append(output.checkpoint)

    def close(self):
        self.is_closed = True


def overlapped(fails_at=None):
    sink, failed = Sink(fails_at), threading.Event()
    return sink, failed, Overlapped(sink, failed, threading.Event())


def test_a_write_returns_before_it_has_ended_and_the_next_one_waits_for_it():
    sink, _, over = overlapped()
    over.write(Output([], 1))
    assert sink.begun.acquire(timeout=WAIT_SECONDS)
    assert sink.kept == []
    second = threading.Thread(target=over.write, args=(Output([], 2),))
    second.start()
    assert not sink.begun.acquire(timeout=0.05)
    sink.may_end.release(2)
    second.join(WAIT_SECONDS)
    over.close()
    assert (sink.kept, sink.is_closed) == ([1, 2], True)


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
    sink.may_end.release(2)
    over.write(Output([], 1))
    over.write(Output([], 2))
    with pytest.raises(Unreachable, match="gone"):
        over.close()
    assert (sink.kept, sink.is_closed) == ([1], True)


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
