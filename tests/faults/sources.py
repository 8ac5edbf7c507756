"""The source: restarted, killed, with a follower that it drops; reading that ends anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.connectors import Section, wait_until
from tests.faults.cases import Cases
from tests.faults.network import ROWS_EVENTS, WAITS, by_source_proxy
from tests.faults.stand import Stand
from tests.faults.striking import Outcome, Run, Setting, another, change, limited, under_load
from tests.proxy import InEvent, Proxy
from tests.services_plugin import new_users

CASES = Cases("source")

GTID_EVENTS = frozenset({33, 42})
SMALL = ((3, 6, 1.0),)
"""Transactions of a few rows, each followed by its entry in the ledger."""
LARGE_ROWS = 3_000
LARGE = ((LARGE_ROWS, LARGE_ROWS, 1.0),)
KILLS = 16
PAYLOAD_KILLS = 12
DUMP_KILLS = 10
HUGE_ROWS = 60_000
FATS = 12
FAT = "insert into fat values ({}, repeat('x', 16000000))"
DUMPS = (
    "select processlist_id from performance_schema.threads"
    " where processlist_command like 'Binlog Dump%'"
)


def struck_source(stand: Stand, script: Callable[[Run], None], seed: int, **more: Any) -> Outcome:
    """The script over a load that goes on when the source is back."""
    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"limits": WAITS}, **more)
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "server stopped in order and started again, its binlog rotated before and after",
    "waits for it; goes on in the next file",
)
def server_restarted(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            for _ in range(2):
                run.database.execute("flush binary logs")
                stand.mysql.restart()
                run.database.execute("flush binary logs")
                run.struck(child)

    return struck_source(stand, script, seed, outlives=True)


@CASES(
    "server killed (`sync_binlog=1`)",
    "the same; what the server rolls back as it recovers was never sent",
)
def server_killed(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            for _ in range(4):
                time.sleep(run.dice.uniform(0.0, 1.0))
                stand.mysql.kill()
                stand.mysql.restart()
                run.struck(child)

    return struck_source(stand, script, seed, outlives=True)


@CASES(
    "server ends the connector's session in mid-transaction (`KILL`), 10 times",
    "asks for the transaction again and steps over the rows that it has published",
)
def dump_killed(stand: Stand, seed: int) -> Outcome:
    return struck_source(stand, dumps_killed, seed, sizes=LARGE, rows_max=LARGE_ROWS)


@CASES(
    "the same where a place is a file and a position",
    "goes back to the begin of the transaction, steps over the rows that it has published",
)
def dump_killed_by_file(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        ((file, pos),) = run.database.execute("select file, pos from begun")
        events = run.database.execute(f"show binlog events in '{file}' from {pos} limit 20")
        behind = next(end for *_, kind, _, end, _ in events if kind == "Xid")
        change(run.rig, "source", coordinates="file", start=f"{file}:{behind}")
        dumps_killed(run)

    return struck_source(stand, script, seed, sizes=LARGE, rows_max=LARGE_ROWS)


def dumps_killed(run: Run) -> None:
    with run.capturing() as child:
        for _ in range(DUMP_KILLS):
            time.sleep(run.dice.uniform(0.0, 0.3))
            wait_until(lambda: kill_dumps(run), lambda: child.said)
            run.struck(child)


@CASES(
    "server that waits 2 s for a slow follower (`net_write_timeout`), broker paused for 15 s",
    "has asked the server for 600 s; stops reading, keeps its session",
)
def slow_follower(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        run.database.execute("create table fat (id int primary key, v longblob)")
        run.rig.strangers += 1
        run.database.execute("set global net_write_timeout = 2")
        try:
            with run.capturing() as child:
                before = run.database.execute(DUMPS)
                stand.kafka.pause()
                # More than sockets and the connector's bounded queue take.
                run.database.execute(*(FAT.format(number) for number in range(FATS)))
                run.rig.strangers += FATS
                time.sleep(15)
                stand.kafka.resume()
                run.struck(child)
                after = run.database.execute(DUMPS)
                run.outcome.told.append(f"sessions of the dump: {before}, then {after}")
        finally:
            run.database.execute("set global net_write_timeout = 60")

    return struck_source(stand, script, seed)


@CASES(
    f"a transaction of {HUGE_ROWS:,} rows and as many in the ledger, under a limit of 300 MB",
    "cuts it into Kafka transactions of bounded size; memory stays as it is",
)
def huge_transaction(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing(is_moving=False) as child, limited(child.process.pid, 300):
            wait_until(lambda: run.rig.workload.count, lambda: child.said, 300)
            run.struck(child)

    return struck_source(
        stand,
        script,
        seed,
        writers=1,
        sizes=((HUGE_ROWS, HUGE_ROWS, 1.0),),
        rows_max=HUGE_ROWS,
        pause_seconds=1.0,
    )


@CASES(
    "connector killed at each row of transactions: at 16 rows events, one after the other",
    "publishes the rows behind the last one that was committed",
)
def killed_at_each_row(stand: Stand, seed: int) -> Outcome:
    def script(run: Run, proxy: Proxy) -> None:
        killed_where_held(run, proxy, KILLS, lambda: InEvent(ROWS_EVENTS, "packet header", 2))

    setting = Setting(stand.over_kafka, sizes=SMALL, pause_seconds=0.2)
    with stand.database() as database:
        return by_source_proxy(stand.new_folder(), database, setting, script, seed)


@CASES(
    "connector killed at 16 boundaries of transactions in turn, every third one DDL",
    "reads each row by its own shape; what is known of tables is as of the checkpoint",
)
def killed_at_each_boundary(stand: Stand, seed: int) -> Outcome:
    def script(run: Run, proxy: Proxy) -> None:
        killed_where_held(run, proxy, KILLS, lambda: InEvent(GTID_EVENTS, "packet header", 2))

    setting = Setting(stand.over_kafka, sizes=SMALL, pause_seconds=0.2, ddl_chance=0.3)
    with stand.database() as database:
        return by_source_proxy(stand.new_folder(), database, setting, script, seed)


@CASES(
    f"connector killed inside compressed transactions of {LARGE_ROWS:,} rows, {PAYLOAD_KILLS}"
    " times",
    "reads the transaction's one event again and steps over the rows that it has published",
)
def killed_in_payload(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        for _ in range(PAYLOAD_KILLS):
            with run.capturing(is_moving=False) as child:
                run.moved(child)
                time.sleep(run.dice.uniform(0.0, 0.5))
            run.rig.note_restart()
            run.outcome.strikes += 1

    own: dict[str, Section] = {"limits": {**WAITS, "batch_bytes_max": 16_384}}
    setting = Setting(stand.over_kafka, own, sizes=LARGE, rows_max=LARGE_ROWS, compressed_share=1.0)
    with stand.database() as database:
        return under_load(stand.new_folder(), database, setting, script, seed)


def killed_where_held(run: Run, proxy: Proxy, count: int, breaker: Callable[[], InEvent]) -> None:
    """Kill the connector so often, when all was committed that came before the breaker's place."""
    for _ in range(count):
        breaks = proxy.breaks
        proxy.break_at(breaker(), holds=True)
        with run.capturing(is_moving=False) as child:
            wait_until(lambda breaks=breaks: proxy.breaks > breaks, lambda: child.said)
            run.settled()
        proxy.cut()
        run.rig.note_restart()
        run.outcome.strikes += 1
    proxy.break_at(lambda link, direction, data: None)


@CASES(
    "time stamps of the source's sessions that jump by up to a day, both ways",
    "nothing: order and identity never rest on a clock",
)
def skewed_clock(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        for _ in range(3):
            with run.capturing() as child:
                run.moved(child)
            run.rig.note_restart()
            run.outcome.strikes += 1

    return struck_source(stand, script, seed, is_skewed=True)


@CASES(
    "right to follow the binlog revoked, then the password changed; both mended",
    "ends at its next connection, names the right that is missing; goes on when started again",
)
def rights_revoked(stand: Stand, seed: int) -> Outcome:
    with stand.database() as database, new_users(stand.mysql) as new_user:
        rights = ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON {database.name}.*")
        address = new_user(*rights)

        def script(run: Run) -> None:
            with run.capturing() as child:
                stand.execute(f"revoke replication slave on *.* from {address.user}@'%'")
                kill_dumps(run)
                run.ended(child, "REPLICATION SLAVE", address.user)
            stand.execute(f"grant replication slave on *.* to {address.user}@'%'")
            with run.capturing(is_moving=False) as child:
                run.struck(child)
                stand.execute(f"alter user {address.user}@'%' identified by 'another'")
                kill_dumps(run)
                run.ended(child, "access denied")
            stand.execute(f"alter user {address.user}@'%' identified by '{address.password}'")
            with run.capturing(is_moving=False) as child:
                run.struck(child)

        own: Section = {"user": address.user, "password": address.password}
        setting = Setting(stand.over_kafka, {"source": own, "limits": WAITS})
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "a second connector with the same server id",
    "each pushes the other one out, says so; the first to be pushed out too often in a minute ends",
)
def same_server_id(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        rig = run.rig
        source = json.loads(rig.file.read_text())["source"]
        twin: Section = {
            "connector": f"{rig.config.connector}_twin",
            "source": {**source, "server_id": rig.config.server_id},
            "log": {"kind": "embedded", "path": str(rig.project.folder / "twin.db")},
        }
        with run.capturing() as child:
            file = another(rig, twin, "twin")
            with rig.project.started("run", file, "--stage", "capture") as other:
                both = (child, other)
                wait_until(
                    lambda: any(one.process.poll() is not None for one in both),
                    lambda: child.said + other.said,
                )
            # Whoever was pushed out too often; both, if they were at the same time.
            for one in both:
                if one.process.poll() == 1:
                    run.ended(one, "same id", str(rig.config.server_id))
        rig.note_restart()
        with run.capturing(is_moving=False) as child:
            run.struck(child)

    return struck_source(stand, script, seed)


def kill_dumps(run: Run) -> int:
    """End whatever follows the binlog; how many."""
    sessions = run.database.execute(DUMPS)
    for (session,) in sessions:
        run.database.execute(f"kill {session}")
    return len(sessions)


@CASES(
    "a session writes rows as a statement; accepted by name",
    "ends at the statement, names its place and `accept`; goes on behind it",
)
def rows_as_statement(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            run.rig.strangers += 1
            run.database.execute(
                "set binlog_format = 'statement'", "delete from w0_0 where id = -1"
            )
            run.ended(child, "statement_rows")
        change(run.rig, "source", accept=["statement_rows"])
        with run.capturing(is_moving=False) as child:
            run.struck(child)

    return struck_source(stand, script, seed)
