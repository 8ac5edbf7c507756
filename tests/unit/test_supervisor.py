"""A stage heals what may heal, within its bounds, and ends at everything else."""

import ctypes
import gc
import threading
import time
import weakref

import pytest
from confluent_kafka import KafkaError

from cdc.errors import CdcError, Fenced, Unreachable
from cdc.model import Output
from cdc.observe import Metrics
from cdc.supervisor import Pipeline, Stage, Supervisor, supervise


class Numbers:
    """A source of numbers after the last one written; fails where it is told to."""

    def __init__(self, alive, failures):
        self.alive, self.failures = alive, failures

    def read(self, after):
        for number in range((after or 0) + 1, 6):
            if failure := self.failures.pop(number, None):
                raise failure
            self.alive()
            yield number

    def close(self):
        pass


class Kept:
    """A sink that keeps what was committed."""

    def __init__(self, kept):
        self.kept = kept

    def last_checkpoint(self):
        return self.kept[-1] if self.kept else None

    def write(self, output):
        self.kept.extend(output.records)

    def close(self):
        pass


def stage_of(open_pipeline, *, start_wait=5.0, outage_max=5.0):
    metrics = Metrics("shop", version="1", is_compiled=False, pid=1).stage("capture")
    return Stage("capture", open_pipeline, metrics, start_wait, outage_max, 0.02)


def numbers_into(kept, failures):
    def open_pipeline(stop, signs):
        step = lambda number: Output([number], number)  # noqa: E731
        return Pipeline(Numbers(signs.alive, failures), step, Kept(kept))

    return open_pipeline


def test_an_outage_costs_nothing_and_repeats_nothing():
    kept, failures = [], {3: Unreachable("gone"), 5: Unreachable("gone again")}
    stage = stage_of(numbers_into(kept, failures))

    supervise(stage, threading.Event())

    assert kept == [1, 2, 3, 4, 5]
    status = stage.metrics.status()
    assert (status.retries_total, status.state) == (2, "stopped")


def test_what_a_failed_run_held_is_let_go_before_the_next():
    class Client:
        """Something with threads and memory, in a cycle."""

        def __init__(self):
            self.itself = self

    failures, clients, kept_before = {2: Unreachable("gone"), 4: Unreachable("again")}, [], []

    def open_pipeline(stop, signs):
        kept_before.append([one() is not None for one in clients])
        client = Client()
        clients.append(weakref.ref(client))
        return Pipeline(
            Numbers(signs.alive, failures), lambda n: (client, Output([n], n))[1], Kept(kept)
        )

    kept = []
    gc.disable()
    try:
        supervise(stage_of(open_pipeline), threading.Event())
    finally:
        gc.enable()
    assert kept == [1, 2, 3, 4, 5]
    assert kept_before == [[], [False], [False, False]]


def test_a_server_that_never_comes_is_given_up_within_the_bound():
    def open_pipeline(stop, signs):
        raise Unreachable("no answer from db:3306", hint="start it")

    with pytest.raises(CdcError, match=r"gave up after .* no answer from db:3306") as caught:
        supervise(stage_of(open_pipeline, start_wait=0.05), threading.Event())
    assert caught.value.hint == "start it"


def test_a_server_that_goes_away_later_has_the_longer_bound():
    failures = {3: Unreachable("gone")}
    kept = []
    opened = numbers_into(kept, failures)

    supervise(stage_of(opened, start_wait=0.0, outage_max=5.0), threading.Event())

    assert kept == [1, 2, 3, 4, 5]


def test_the_wait_before_a_try_ends_when_told_to_stop():
    stop = threading.Event()

    def open_pipeline(_, signs):
        stop.set()
        raise Unreachable("gone")

    supervise(stage_of(open_pipeline), stop)


def test_a_log_that_is_away_while_all_is_kept_may_stay_away():
    tries = []

    def open_pipeline(stop, signs):
        tries.append(time.monotonic())
        signs.kept()
        if tries[-1] - tries[0] > 0.3:
            raise Fenced("enough")
        raise Unreachable("gone")

    with pytest.raises(Fenced):
        supervise(stage_of(open_pipeline, start_wait=0.1, outage_max=0.1), threading.Event())


def test_what_cannot_heal_is_not_tried_again():
    tries = []

    def open_pipeline(stop, signs):
        tries.append(1)
        raise Fenced("a newer instance writes")

    with pytest.raises(Fenced):
        supervise(stage_of(open_pipeline), threading.Event())
    assert len(tries) == 1


def test_a_stage_that_fails_stops_the_others():
    begun = threading.Event()

    class Waiting(Numbers):
        def read(self, after):
            begun.set()
            self.failures.wait(10)
            yield from ()

    def waits(stop, signs):
        return Pipeline(Waiting(signs.alive, stop), lambda b: Output([], b), Kept([]))

    def fails(stop, signs):
        assert begun.wait(10)
        raise CdcError("it broke")

    supervisor = Supervisor((stage_of(waits), stage_of(fails)))
    supervisor.start()
    supervisor.join()

    assert [(stage, error.message) for stage, error in supervisor.failures] == [
        ("capture", "it broke")
    ]


def test_a_stage_counts_as_running_once_it_has_shown_that_it_works():
    states = []

    class Looking(Numbers):
        def read(self, after):
            states.append(stage.metrics.status().state)
            self.alive()
            states.append(stage.metrics.status().state)
            yield from ()

    def open_pipeline(stop, signs):
        return Pipeline(Looking(signs.alive, {}), lambda b: Output([], b), Kept([]))

    stage = stage_of(open_pipeline)
    supervise(stage, threading.Event())

    assert states == ["connecting", "running"]


def test_a_fault_of_our_own_ends_the_stage_with_its_kind_and_keeps_the_cause():
    def open_pipeline(stop, signs):
        raise KeyError("oops")

    supervisor = Supervisor((stage_of(open_pipeline),))
    supervisor.start()
    supervisor.join()

    ((_, error),) = supervisor.failures
    assert "KeyError" in error.message
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("what", [SystemExit("left"), KafkaError(KafkaError._TIMED_OUT)])
def test_what_is_raised_and_is_no_error_ends_the_stage_too(what):
    def open_pipeline(stop, signs):
        # As C code does that gives back an exception which it never completed.
        kind = ctypes.py_object(type(what))
        ctypes.pythonapi.PyErr_Restore(kind, ctypes.py_object(what), None)

    for one in (type(what), what):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))  # PyErr_Restore takes them over
    supervisor = Supervisor((stage_of(open_pipeline),))
    supervisor.start()
    supervisor.join()

    ((_, error),) = supervisor.failures
    assert type(what).__name__ in error.message
