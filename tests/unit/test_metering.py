"""A meter counts each batch once it is written, whatever was stepped since."""

from collections import Counter

from cdc.metering import SAMPLE_SECONDS, Meter
from cdc.model import Output
from cdc.observe import Metrics


class Sink:
    def write(self, output):
        pass


class Step:
    """Gives as many records as the batch says; drops and substitutes one more each time."""

    def __init__(self):
        self.dropped, self.substituted, self.batches = Counter(), Counter(), 0

    def __call__(self, batch):
        self.batches += 1
        self.dropped["t", "reason"] += 1
        self.substituted["t", "x"] += 10
        return Output([None] * batch, f"place {self.batches}")


def metered():
    step, metrics = Step(), Metrics("shop", version="1", is_compiled=False, pid=1).stage("capture")
    return metrics, Meter(
        metrics,
        step,
        Sink(),
        bytes_of=lambda batch: 100 * batch,
        checkpoint_text=str,
        dropped=lambda: step.dropped,
        written=lambda: None,
        substituted=lambda: dict(step.substituted),
        undescribed=lambda: 7,
    )


def value(metrics, name):
    families = metrics._families
    return next(
        sample.value
        for sample in getattr(families, name).collect()[0].samples
        if not sample.name.endswith("_created")
    )


def test_a_batch_that_is_not_written_yet_does_not_count():
    metrics, meter = metered()
    first, second = meter.step(2), meter.step(3)
    meter.write(first)
    status = metrics.status()
    assert (status.records_total, status.bytes_total, status.dropped_total) == (2, 200, 1)
    assert status.checkpoint == "place 1"
    meter.write(second)
    status = metrics.status()
    assert (status.records_total, status.bytes_total, status.dropped_total) == (5, 500, 2)


def test_what_was_put_together_counts_once_it_is_written():
    metrics, meter = metered()
    first, second = meter.step(2), meter.step(3)
    records = [*first.records, *second.records]
    meter.write(Output(records, second.checkpoint, first.batches + second.batches))
    status = metrics.status()
    assert (status.records_total, status.bytes_total, status.dropped_total) == (5, 500, 2)
    assert value(metrics, "batches") == 1


def test_what_takes_a_look_at_all_tables_is_looked_at_now_and_then():
    metrics, meter = metered()
    meter.step(1)
    meter.step(1)
    assert (value(metrics, "substituted"), value(metrics, "undescribed")) == (10, 7)
    meter._sample_at -= SAMPLE_SECONDS
    meter.step(1)
    assert value(metrics, "substituted") == 30
