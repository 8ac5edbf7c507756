"""Two instances of a connector: one runs, one stands by; what befalls the one that runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cdc.capture.lock import SILENCE_SECONDS_MAX, lock_name
from cdc.console import client
from tests.connectors import Child, wait_until
from tests.faults.cases import Cases
from tests.faults.network import WAITS, to_kafka_by_source_proxy
from tests.faults.stand import Stand
from tests.faults.striking import Outcome, Run, Setting, under_load
from tests.proxy import Proxy

CASES = Cases("standby")
Strike = Callable[[Run, Child, Child], None]
"""Hits the instance that runs, until the other one does."""

INSTANCES = 2
TAKEOVERS = 6
ASLEEP_SECONDS_MAX = 3.0
"""How long a stopped instance sleeps on after the other one runs."""
OPENING_SECONDS = 1.5
"""How long a takeover takes, about."""
STALLED_SECONDS = 2.0 * SILENCE_SECONDS_MAX
STANDBY, TOOK_OVER, LOST = "standby  ", "took over", "is lost:"


def to_kafka(
    stand: Stand, strike: Strike, seed: int, count: int = TAKEOVERS, *, outlives: bool = False
) -> Outcome:
    """The strike over two instances, each time at the one that runs."""

    def script(run: Run) -> None:
        with ExitStack() as held:
            living = [held.enter_context(run.capturing())]
            for _ in range(count):
                while len(living) < INSTANCES:
                    living.append(held.enter_context(standing_by(run)))
                running, waiting = settled(living)
                strike(run, running, waiting)
                living = [one for one in living if one.process.poll() is None]

    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"limits": WAITS}, outlives)
        return under_load(stand.new_folder(), database, setting, script, seed)


def settled(instances: Sequence[Child]) -> tuple[Child, Child]:
    """Which one runs, while all others stand by, and one of those."""

    def found() -> tuple[Child, Child] | None:
        for one in instances:
            assert one.process.poll() is None, one.said
        states = [client.status(one.address).stages[0].state for one in instances]
        if sorted(states) != ["running", *["standby"] * (len(states) - 1)]:
            return None
        running = states.index("running")
        return instances[running], instances[running - 1]

    one_runs: tuple[Child, Child] = wait_until(
        found, lambda: "\n".join(one.said for one in instances)
    )
    return one_runs


@contextmanager
def standing_by(run: Run, file: str = "struck") -> Iterator[Child]:
    """One more instance, which waits for the lock."""
    path = run.rig.file.with_stem(file)
    with run.rig.project.started("run", path, "--stage", "capture") as child:
        child.wait_said(STANDBY)
        yield child


@contextmanager
def stopped(child: Child) -> Iterator[None]:
    """It stands still for as long as the block runs."""
    child.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        child.process.send_signal(signal.SIGCONT)


@CASES("the instance that runs is killed (kill -9)", "the standby takes over at once")
def killed(stand: Stand, seed: int) -> Outcome:
    def strike(run: Run, running: Child, waiting: Child) -> None:
        running.kill()
        run.struck(waiting)

    return to_kafka(stand, strike, seed)


@CASES(
    "the instance that runs stands still (SIGSTOP), and wakes when another one runs",
    "its lock is free after 3 s and the standby takes over; awake, it stands by",
)
def asleep(stand: Stand, seed: int) -> Outcome:
    def strike(run: Run, running: Child, waiting: Child) -> None:
        with stopped(running):
            run.struck(waiting)
            time.sleep(run.dice.uniform(0.0, ASLEEP_SECONDS_MAX))
        running.wait_said(LOST)

    return to_kafka(stand, strike, seed)


@CASES(
    "an instance stands still (SIGSTOP) at a random moment of its takeover, and wakes later",
    "a third one takes over; awake, it finds its lock lost and opens no writer, or gives it up",
)
def asleep_in_takeover(stand: Stand, seed: int) -> Outcome:
    def strike(run: Run, running: Child, waiting: Child) -> None:
        with standing_by(run) as third:
            running.kill()
            taking = wait_until(
                lambda: next((one for one in (waiting, third) if TOOK_OVER in one.said), None),
                lambda: waiting.said,
            )
            time.sleep(run.dice.uniform(0.0, OPENING_SECONDS))
            other = third if taking is waiting else waiting
            with stopped(taking):
                run.struck(other)
                time.sleep(run.dice.uniform(0.0, ASLEEP_SECONDS_MAX))
            taking.wait_said(LOST)
            settled([waiting, third])

    return to_kafka(stand, strike, seed)


@CASES("the lock's session is killed (KILL)", "who had it queues for it again; one of both goes on")
def session_killed(stand: Stand, seed: int) -> Outcome:
    def strike(run: Run, running: Child, waiting: Child) -> None:
        name = lock_name(run.rig.config.connector)
        ((session,),) = run.database.execute(f"select is_used_lock('{name}')")
        run.database.execute(f"kill {session}")
        run.struck(waiting)
        running.wait_said(LOST)

    return to_kafka(stand, strike, seed)


@CASES(
    "the source restarts under both instances",
    "both lose their sessions; who asks first has the lock, the other stands by",
)
def source_restarted(stand: Stand, seed: int) -> Outcome:
    def strike(run: Run, running: Child, waiting: Child) -> None:
        run.database.server.restart()
        run.struck(waiting)

    return to_kafka(stand, strike, seed, 2, outlives=True)


@CASES(
    "the links of the instance that runs to the source stall, both ways",
    "it writes nothing once 3 s have passed without an answer; the standby takes over",
)
def source_stalled(stand: Stand, seed: int) -> Outcome:
    def script(run: Run, proxy: Proxy) -> None:
        with run.capturing() as running, standing_by(run, "faults") as waiting:
            proxy.stall()
            run.struck(waiting)
            time.sleep(STALLED_SECONDS)
            proxy.resume()
            running.wait_said(LOST)
            assert settled([running, waiting]) == (waiting, running)

    return to_kafka_by_source_proxy(stand, script, seed)
