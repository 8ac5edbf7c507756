"""A running connector answers over HTTP whether it really is connected and moving."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests import shop
from tests.connectors import wait_until
from tests.proxy import Proxy
from tests.services_plugin import FreshDatabase
from tests.shop import new_shop


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def test_ready_means_connected_and_moving(tmp_path: Path, mysql_database: FreshDatabase) -> None:
    address = mysql_database.server.address
    with Proxy(address.host, address.port) as proxy:
        proxy.shut()
        made = new_shop(
            tmp_path,
            mysql_database,
            source={"port": proxy.port},
            limits={"retry_wait_seconds_max": 1},
        )
        with made.project.started("run", made.file) as child:

            def ready() -> tuple[int, Any]:
                code, text = get(f"{child.address}/ready")
                return code, json.loads(text)

            def wait_not_ready() -> None:
                said = wait_until(
                    lambda: (
                        (found := ready())[0] == 503
                        and "the source" in found[1]["reasons"].get("capture", "")
                        and found
                    ),
                    lambda: str(ready()),
                )
                assert said[1]["ready"] is False

            def wait_ready() -> None:
                wait_until(lambda: ready() == (200, {"ready": True, "reasons": {}}), child.said)

            wait_not_ready()
            assert get(f"{child.address}/live")[0] == 200
            proxy.open()
            wait_ready()
            shop.write(mysql_database)
            made.wait_equal(child)
            proxy.shut()
            wait_not_ready()
            proxy.open()
            wait_ready()
            assert child.stop() == 0, child.said


def test_metrics_tell_of_every_stage_and_an_idle_one_has_no_lag(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    made = new_shop(tmp_path, mysql_database, source={"heartbeat_seconds": 0.2})
    with made.project.started("run", made.file) as child:
        shop.write(mysql_database)
        made.wait_equal(child)

        def series() -> dict[str, float]:
            text = get(f"{child.address}/metrics")[1]
            return {
                name: float(value)
                for name, value in re.findall(r"^(cdc_.+) (\S+)$", text, re.MULTILINE)
            }

        stages = ("capture", "translate", "views/orders_now")
        # Idle: heartbeats make batches without records.
        before = series()
        batches = 'cdc_batches_total{stage="capture"}'
        wait_until(lambda: series()[batches] > before[batches] + 3, "heartbeats come")
        found = series()
        for stage in stages:
            assert found[f'cdc_connected{{stage="{stage}"}}'] == 1
            assert found[f'cdc_records_total{{stage="{stage}"}}'] > 0
            assert found[f'cdc_lag_seconds{{stage="{stage}"}}'] < 2
            assert f'cdc_batch_seconds_count{{stage="{stage}"}}' in found
            assert f'cdc_checkpoint_age_seconds{{stage="{stage}"}}' in found
        assert found['cdc_lag_records{stage="translate"}'] == 0
        dropped = [value for name, value in found.items() if name.startswith("cdc_dropped_total")]
        assert sum(dropped) > 0  # tombstones, by name
        assert child.stop() == 0, child.said
