"""What the connector's lock means to a stage."""

import threading

import pytest

from cdc.capture.lock import NAME_CHARS_MAX, inspect_lock, lock_name
from cdc.console.readiness import why_not_ready
from cdc.errors import CdcError, Fenced, LockLost, PushedOut, SourceError, Unreachable
from cdc.loop import run
from cdc.model import Output
from cdc.observe import Metrics
from cdc.running import Running
from cdc.supervisor import Pipeline, Signs, Stage, Stopped, Supervisor, supervise
from cdc.wiring.standby import Duty, Endings, LockedSink, LockedSource, relieved


class Lock:
    """As `ConnectorLock`, without a server."""

    def __init__(self, *, is_lost=False, comes=True):
        self.is_lost, self.comes, self.is_released = is_lost, comes, False

    def queue(self, stop, standby):
        standby("another has it")
        return self.comes

    def check(self):
        if self.is_lost:
            raise self.lost()

    def is_sure(self):
        return not self.is_lost

    def is_held(self):
        return not self.is_lost

    def lost(self):
        return LockLost("the lock is lost")

    def release(self):
        self.is_released = True
        return not self.is_lost


class Written:
    def __init__(self, failure=None):
        self.failure, self.written, self.lock, self.was_locked = failure, [], None, None

    def last_checkpoint(self):
        return None

    def write(self, output):
        if self.failure:
            raise self.failure
        self.written += output.records

    def close(self):
        self.was_locked = self.lock is None or not self.lock.is_released


def test_the_name_of_the_lock_is_within_the_servers_bound_and_tells_connectors_apart():
    assert lock_name("shop") == "cdc.shop"
    one, other = lock_name("a" * 63), lock_name("a" * 62 + "b")
    assert len(one) == len(other) == NAME_CHARS_MAX
    assert one != other


def test_a_server_that_has_no_such_locks_is_found_before_the_start():
    class Cluster:
        def rows(self, doing, statement, values):
            raise SourceError("prohibited use of GET_LOCK with pxc_strict_mode = ENFORCING")

    (finding,) = inspect_lock(Cluster())

    assert (finding.severity, finding.path) == ("error", "source.standby")
    assert "source.standby: false" in finding.hint


def test_nothing_is_written_once_the_lock_is_lost():
    inner, lock = Written(), Lock()
    sink = LockedSink(inner, lock, Endings(), threading.Event())
    sink.write(Output([1], 1))
    lock.is_lost = True

    with pytest.raises(LockLost):
        sink.write(Output([2], 2))
    assert inner.written == [1]


def test_the_lock_is_given_back_after_the_writer_is_closed():
    inner, lock = Written(), Lock()
    inner.lock = lock
    LockedSink(inner, lock, Endings(), threading.Event()).close()

    assert inner.was_locked
    assert lock.is_released


def test_a_lost_lock_takes_the_place_of_what_came_of_it():
    sink = LockedSink(Written(), Lock(is_lost=True), Endings(), threading.Event())
    with pytest.raises(LockLost):
        try:
            raise CdcError("a second follower with the same server id")
        finally:
            sink.close()


def test_a_lost_lock_is_no_matter_on_the_way_to_a_stop():
    stop = threading.Event()
    stop.set()
    LockedSink(Written(), Lock(is_lost=True), Endings(), stop).close()


def test_a_holder_that_others_end_goes_on_a_few_times():
    endings = Endings()

    def fenced():
        sink = LockedSink(Written(Fenced("fenced")), Lock(), endings, threading.Event())
        sink.write(Output([1], 1))

    def pushed_out():
        class Source:
            def read(self, after):
                yield 1
                raise PushedOut("the same server id")

        return list(LockedSource(Source(), Lock(), endings).read(None))

    for ended in (fenced, pushed_out, fenced):
        with pytest.raises(Unreachable, match="though this instance holds the connector's lock"):
            ended()
    with pytest.raises(Fenced):
        fenced()
    with pytest.raises(PushedOut):
        pushed_out()


def test_without_the_lock_nothing_is_read():
    with pytest.raises(LockLost):
        list(LockedSource(None, Lock(is_lost=True), Endings()).read(None))


def metrics():
    return Metrics("shop", version="1", is_compiled=False, pid=1)


def test_a_standby_says_so_and_waits_longer_than_any_outage_may_last():
    of_process = metrics()
    states, released = [], threading.Event()

    class Ended:
        def read(self, after):
            signs[0].alive()
            yield from ()

        def close(self):
            pass

    signs = []

    def open_pipeline(stop, told):
        signs.append(told)
        if len(signs) == 1:
            assert not released.wait(0.3)  # longer than start_wait_seconds
            told.standby("another has it")
            states.append(of_process.status().stages[0])
            states.append(why_not_ready(of_process.status(), 1))
            raise Unreachable("the standby's link is lost")
        Duty().take(Lock(), stop, told)
        states.append(of_process.status().stages[0])
        return Pipeline(Ended(), lambda batch: batch, Written())

    supervise(
        Stage("capture", open_pipeline, of_process.stage("capture"), 0.1, 5.0, 0.02),
        threading.Event(),
    )

    assert (states[0].state, states[0].reason) == ("standby", "another has it")
    assert states[1] == {}
    assert states[2].state == "connecting"


def test_a_standby_that_is_told_to_stop_stops():
    def open_pipeline(stop, signs):
        Duty().take(Lock(comes=False), stop, signs)
        raise AssertionError("not reached")

    stage = Stage("capture", open_pipeline, metrics().stage("capture"), 1, 1, 1)
    supervise(stage, threading.Event())

    assert stage.metrics.status().state == "stopped"


def test_an_instance_that_is_fenced_for_good_ends_with_an_exit_code_of_its_own():
    def open_pipeline(stop, signs):
        raise Fenced("a newer writer")

    of_process = metrics()
    stage = Stage("capture", open_pipeline, of_process.stage("capture"), 1, 1, 1)
    supervisor = Supervisor((stage,))
    supervisor.start()
    with pytest.raises(CdcError) as caught:
        Running(None, of_process, supervisor).wait()

    assert caught.value.exit_code == 3


class Reading(Written):
    """A source and a sink in one: reads until it is told to stop, notes when it began."""

    def __init__(self, stop, begun):
        super().__init__()
        self.stop, self.begun = stop, begun

    def read(self, after):
        self.begun.set()
        while not self.stop.is_set():
            yield threading.Event().wait(0.005)


def test_a_stage_beside_capture_runs_where_capture_has_the_lock():
    duty, stop, begun = Duty(), threading.Event(), threading.Event()
    signs = Signs(lambda: None, lambda why: None, lambda: None, lambda: None)

    def open_pipeline(stop, signs):
        both = Reading(stop, begun)
        return Pipeline(both, lambda batch: Output([], None), both)

    stage = Stage(
        "translate", relieved(open_pipeline, duty), metrics().stage("translate"), 5, 5, 0.01
    )
    thread = threading.Thread(target=supervise, args=(stage, stop))
    thread.start()
    assert not begun.wait(0.1)

    duty.take(Lock(), stop, signs)
    assert begun.wait(5)

    begun.clear()
    with pytest.raises(Stopped):
        duty.take(Lock(comes=False), stop, signs)
    while stage.metrics.status().state != "standby":
        assert not begun.is_set()
    assert stage.metrics.status().reason == "another has it"

    duty.take(Lock(), stop, signs)
    assert begun.wait(5)
    stop.set()
    thread.join()


@pytest.mark.parametrize("end", ["source", "sink"])
def test_a_stage_beside_capture_that_another_instance_ends_waits_for_the_lock(end):
    duty, signs = Duty(), Signs(lambda: None, lambda why: None, lambda: None, lambda: None)
    lock = Lock()
    duty.take(lock, threading.Event(), signs)

    class Source:
        def read(self, after):
            yield 1
            if end == "source":
                raise Fenced("a newer one")

    def open_pipeline(stop, signs):
        sink = Written(Fenced("a newer one") if end == "sink" else None)
        return Pipeline(Source(), lambda batch: Output([batch], None), sink)

    pipeline = relieved(open_pipeline, duty)(threading.Event(), signs)
    lock.is_lost = True
    with pytest.raises(LockLost):
        run(pipeline.source, pipeline.step, pipeline.sink)
