"""What a process tells about itself: metrics, status, log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import structlog

from cdc.errors import LogError
from cdc.observe import Clock, Metrics, ProcessStatus, StageMetrics, configure_logging
from cdc.observe.metrics import LABELS_MAX


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now: float = 1_000_000.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, monotonic=lambda: self.now)


def made(time: Time) -> Metrics:
    return Metrics(
        "shop", version="1.0", is_compiled=True, pid=7, clock=time.clock(), quiet_seconds_max=15
    )


def sample(metrics: Metrics, line: str) -> float:
    """The value of this series in what Prometheus scrapes."""
    text = metrics.exposition()[0].decode()
    found = [row.rpartition(" ")[2] for row in text.splitlines() if row.startswith(line + " ")]
    assert len(found) == 1, text
    return float(found[0])


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def metrics(time: Time) -> Metrics:
    return made(time)


@pytest.fixture
def stage(metrics: Metrics) -> StageMetrics:
    return metrics.stage("capture")


def test_a_batch_is_counted_in_one_call(metrics: Metrics, stage: StageMetrics) -> None:
    stage.batch(records=100, bytes=5000, seconds=0.02, event_time_seconds=999_990.0)
    stage.batch(records=20, bytes=1000, seconds=0.2)
    status = stage.status()
    assert (status.records_total, status.bytes_total, status.batches_total) == (120, 6000, 2)
    assert sample(metrics, 'cdc_records_total{stage="capture"}') == 120
    assert sample(metrics, 'cdc_bytes_total{stage="capture"}') == 6000
    assert sample(metrics, 'cdc_batches_total{stage="capture"}') == 2
    assert sample(metrics, 'cdc_batch_seconds_count{stage="capture"}') == 2
    assert sample(metrics, 'cdc_last_event_timestamp_seconds{stage="capture"}') == 999_990.0


def test_two_processes_in_one_interpreter_do_not_share_numbers(time: Time) -> None:
    first, second = made(time), made(time)
    first.stage("capture").batch(records=1, bytes=1, seconds=0.1)
    second.stage("capture")
    assert sample(second, 'cdc_records_total{stage="capture"}') == 0


def test_a_stage_is_the_same_object_at_every_call(metrics: Metrics) -> None:
    assert metrics.stage("views") is metrics.stage("views")


def test_a_rate_is_that_of_the_last_seconds(stage: StageMetrics, time: Time) -> None:
    for _ in range(20):
        stage.batch(records=50, bytes=500, seconds=0.1)
        time.now += 0.5
    assert stage.status().records_per_second == pytest.approx(100, rel=0.15)
    assert stage.status().bytes_per_second == pytest.approx(1000, rel=0.15)
    time.now += 60
    assert stage.status().records_per_second == 0


def test_before_anything_is_seen_the_lag_is_unknown(metrics: Metrics, stage: StageMetrics) -> None:
    stage.running()
    assert stage.lag_seconds() is None
    assert sample(metrics, 'cdc_lag_seconds{stage="capture"}') != 0


def test_the_lag_is_that_of_the_event_seen_last(stage: StageMetrics, time: Time) -> None:
    stage.running()
    stage.seen(time.now - 120, time.now)
    assert stage.lag_seconds() == 120


def test_heartbeats_keep_the_lag_at_nothing_while_nothing_happens(
    stage: StageMetrics, time: Time
) -> None:
    stage.running()
    for _ in range(100):
        stage.heartbeat()
        assert stage.lag_seconds() == 0
        time.now += 5
    assert stage.lag_seconds() == 0


def test_when_nothing_arrives_the_lag_grows_at_each_reading(
    metrics: Metrics, stage: StageMetrics, time: Time
) -> None:
    stage.running()
    stage.seen(time.now - 2)
    time.now += 100
    assert stage.lag_seconds() == 102
    time.now += 100
    assert sample(metrics, 'cdc_lag_seconds{stage="capture"}') == 202


def test_a_source_clock_that_is_ahead_gives_no_negative_lag(
    stage: StageMetrics, time: Time
) -> None:
    stage.seen(time.now + 60)
    assert stage.lag_seconds() == 0


def test_after_a_reconnect_silence_counts_anew(stage: StageMetrics, time: Time) -> None:
    stage.running()
    stage.heartbeat()
    stage.waiting("the server is away")
    assert stage.status().last_seen_seconds_ago == 0
    time.now += 500
    stage.running()
    assert stage.status().last_seen_seconds_ago is None


def test_the_age_of_a_checkpoint_grows_from_its_commit(
    metrics: Metrics, stage: StageMetrics, time: Time
) -> None:
    assert stage.status().checkpoint_age_seconds is None
    stage.checkpoint("binlog.000003:1544")
    time.now += 4
    assert stage.status().checkpoint == "binlog.000003:1544"
    assert stage.status().checkpoint_age_seconds == 4
    assert sample(metrics, 'cdc_checkpoint_age_seconds{stage="capture"}') == 4


def test_a_stage_says_what_it_does_and_why(stage: StageMetrics, time: Time) -> None:
    assert stage.status().state == "starting"
    stage.connecting("localhost:3306")
    assert (stage.status().state, stage.status().reason) == ("connecting", "localhost:3306")
    stage.running("localhost:3306")
    since = time.now
    time.now += 9
    stage.running("localhost:3306")
    assert stage.status().is_connected
    assert stage.status().connected_since_seconds == since
    stage.waiting("localhost:3306 refuses")
    assert not stage.status().is_connected
    stage.stopped()
    assert stage.status().state == "stopped"


def test_errors_are_counted_by_kind_and_the_last_one_is_kept(
    metrics: Metrics, stage: StageMetrics
) -> None:
    stage.retrying(LogError("the broker is away"))
    assert (stage.status().state, stage.status().reason) == ("waiting", "the broker is away")
    stage.failed(OSError("disk full"))
    status = stage.status()
    assert (status.state, status.last_error) == ("failed", "disk full")
    assert (status.errors_total, status.retries_total) == (2, 1)
    assert sample(metrics, 'cdc_errors_total{kind="LogError",stage="capture"}') == 1
    assert sample(metrics, 'cdc_errors_total{kind="OSError",stage="capture"}') == 1
    assert sample(metrics, 'cdc_retries_total{stage="capture"}') == 1


def test_what_is_dropped_is_counted_by_table_and_reason(
    metrics: Metrics, stage: StageMetrics
) -> None:
    stage.dropped("shop.orders", "no_rule", 3)
    stage.dropped("shop.orders", "no_rule")
    stage.dead_letters(2)
    series = 'cdc_dropped_total{reason="no_rule",stage="capture",table="shop.orders"}'
    assert sample(metrics, series) == 4
    assert sample(metrics, 'cdc_dead_letters_total{stage="capture"}') == 2
    assert (stage.status().dropped_total, stage.status().dead_letters_total) == (4, 2)


def test_table_names_can_not_make_endless_series(metrics: Metrics, stage: StageMetrics) -> None:
    for number in range(LABELS_MAX + 50):
        stage.dropped(f"shop.t{number}", "filter")
    text = metrics.exposition()[0].decode()
    series = [line for line in text.splitlines() if line.startswith("cdc_dropped_total{")]
    assert len(series) == LABELS_MAX + 1
    assert sample(metrics, 'cdc_dropped_total{reason="other",stage="capture",table="other"}') == 50
    assert stage.status().dropped_total == LABELS_MAX + 50


def test_substituted_values_count_by_column_and_undescribed_tables_are_a_gauge(
    metrics: Metrics, stage: StageMetrics
) -> None:
    stage.substituted("shop.orders", "placed_at", 3)
    stage.substituted("shop.orders", "placed_at", 2)
    stage.undescribed(4)
    labels = 'column="placed_at",stage="capture",table="shop.orders"'
    assert sample(metrics, f"cdc_substituted_values_total{{{labels}}}") == 5
    assert sample(metrics, 'cdc_undescribed_tables{stage="capture"}') == 4


def test_queues_and_records_behind_are_gauges(metrics: Metrics, stage: StageMetrics) -> None:
    stage.queue_fill(0.75)
    stage.lag_records(12)
    stage.running()
    assert sample(metrics, 'cdc_queue_fill_ratio{stage="capture"}') == 0.75
    assert sample(metrics, 'cdc_lag_records{stage="capture"}') == 12
    assert sample(metrics, 'cdc_connected{stage="capture"}') == 1


def test_the_info_metric_says_version_and_hot_path(metrics: Metrics) -> None:
    assert sample(metrics, 'cdc_info{connector="shop",hot_path="compiled",version="1.0"}') == 1


def test_a_status_survives_json(metrics: Metrics, stage: StageMetrics) -> None:
    stage.checkpoint("0-1-2")
    status = metrics.status()
    assert ProcessStatus.from_json(json.loads(json.dumps(status.to_json()))) == status


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Leaves logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("own_logging")
class TestLogLines:
    def test_piped_lines_are_plain(self) -> None:
        stream = io.StringIO()
        configure_logging(stream=stream)
        structlog.get_logger().info("connected", server="db:3306")
        assert "\x1b" not in stream.getvalue()
        assert "connected" in stream.getvalue()
        assert "server=db:3306" in stream.getvalue()

    def test_lines_in_a_terminal_are_coloured(self) -> None:
        stream = Terminal()
        configure_logging(stream=stream)
        structlog.get_logger().info("connected")
        assert "\x1b" in stream.getvalue()

    def test_json_lines_hold_fields(self) -> None:
        stream = io.StringIO()
        configure_logging(json=True, stream=stream)
        structlog.get_logger().bind(stage="capture").warning("behind", lag_seconds=3)
        line = json.loads(stream.getvalue())
        assert (line["event"], line["level"]) == ("behind", "warning")
        assert (line["stage"], line["lag_seconds"]) == ("capture", 3)

    def test_libraries_write_the_same_form(self) -> None:
        stream = io.StringIO()
        configure_logging(json=True, stream=stream)
        logging.getLogger("some.library").warning("lost %s", "it")
        assert json.loads(stream.getvalue())["event"] == "lost it"

    def test_the_level_is_kept(self) -> None:
        stream = io.StringIO()
        configure_logging(level="error", stream=stream)
        structlog.get_logger().warning("no")
        logging.getLogger("some.library").warning("no")
        assert stream.getvalue() == ""

    def test_set_up_twice_a_line_comes_once(self) -> None:
        stream = io.StringIO()
        configure_logging(stream=stream)
        configure_logging(stream=stream)
        structlog.get_logger().info("once")
        assert stream.getvalue().count("once") == 1

    @pytest.mark.parametrize("is_json", [False, True])
    def test_a_traceback_shows_no_variables(self, is_json: bool) -> None:
        stream = io.StringIO()
        configure_logging(json=is_json, stream=stream)

        def fail(password: str) -> None:
            raise ValueError("no")

        try:
            fail("hunter2"[::1])
        except ValueError:
            structlog.get_logger().exception("failed")
        # The call itself is quoted as it is written; the value of the variable is not.
        assert "ValueError: no" in stream.getvalue()
        assert "password = " not in stream.getvalue()
        assert "│" not in stream.getvalue()

    def test_an_unknown_level_is_refused(self) -> None:
        with pytest.raises(ValueError, match="debug, info, warning, error"):
            configure_logging(level="loud")
