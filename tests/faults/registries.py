"""The schema registry: away, failing, slow, refusing, each time with a schema change pending."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.connectors import Section, kafka_log, wait_until
from tests.faults.cases import Cases
from tests.faults.http_proxy import HttpProxy
from tests.faults.network import WAITS
from tests.faults.stand import Stand
from tests.faults.striking import Outcome, Run, Setting, under_load
from tests.proxy import Proxy

CASES = Cases("registry")

DDL_CHANCE = 0.015
AWAY_SECONDS = 4.0
SLOW_SECONDS = 10.0


@contextmanager
def failing(stand: Stand) -> Iterator[HttpProxy]:
    with HttpProxy(stand.registry.url) as proxy:
        yield proxy


def by_registry(stand: Stand, url: str, script: Callable[[Run], None], seed: int) -> Outcome:
    """The script over a connector that reaches the registry at this address."""
    log: Section = kafka_log(stand.kafka.url)
    sections: dict[str, Section] = {"log": log, "registry": {"url": stand.registry.url}}
    setting = Setting(sections, {"registry": {"url": url}, "limits": WAITS}, ddl_chance=DDL_CHANCE)
    with stand.database() as database:
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "registry refuses connections for 4 s, three times",
    "waits: no record goes out without its schema's id, nor past one that waits",
)
def registry_refused(stand: Stand, seed: int) -> Outcome:
    with failing(stand) as http, Proxy("127.0.0.1", http.port) as proxy:

        def script(run: Run) -> None:
            with run.capturing() as child:
                for _ in range(3):
                    lines = child.said.count("retry_seconds")
                    proxy.shut()
                    wait_until(lambda n=lines: child.said.count("retry_seconds") > n, "it asks not")
                    time.sleep(AWAY_SECONDS)
                    proxy.open()
                    run.struck(child)

        path = http.url.split(str(http.port), 1)[1]
        return by_registry(stand, f"http://127.0.0.1:{proxy.port}{path}", script, seed)


@CASES("registry answers 500 for 4 s, three times", "the same")
def registry_failing(stand: Stand, seed: int) -> Outcome:
    with failing(stand) as http:

        def script(run: Run) -> None:
            with run.capturing() as child:
                for _ in range(3):
                    failed = http.failed
                    http.status = 500
                    wait_until(lambda n=failed: http.failed > n, "it asks not")
                    time.sleep(AWAY_SECONDS)
                    http.status = 0
                    run.struck(child)

        return by_registry(stand, http.url, script, seed)


@CASES(
    "registry takes 10 s for each answer, for two schema changes",
    "waits for it, or gives up after 10 s and asks again",
)
def registry_slow(stand: Stand, seed: int) -> Outcome:
    with failing(stand) as http:

        def script(run: Run) -> None:
            with run.capturing() as child:
                for _ in range(2):
                    failed = http.failed
                    http.delay_seconds = SLOW_SECONDS
                    wait_until(lambda n=failed: http.failed > n, "it asks not")
                    time.sleep(SLOW_SECONDS + AWAY_SECONDS)
                    http.delay_seconds = 0.0
                    run.struck(child)

        return by_registry(stand, http.url, script, seed)


@CASES(
    "registry refuses a schema as incompatible (409); its rule relaxed",
    "ends, names the subject; goes on when started again",
)
def schema_incompatible(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            relax(stand, "FULL")
            assert child.wait() == 1, child.said
            assert "HTTP 409" in child.said, child.said
        relax(stand, "NONE")
        with run.capturing(is_moving=False) as child:
            run.struck(child)

    try:
        return by_registry(stand, stand.registry.url, script, seed)
    finally:
        relax(stand, "NONE")


def relax(stand: Stand, level: str) -> None:
    """Set what changes of schemas the registry lets pass."""
    body = json.dumps({"compatibility": level}).encode()
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{stand.registry.url}/config", body, kind, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200, answer.status
