"""What a process tells about itself: metrics, status, log lines."""

from cdc.observe.loglines import configure_logging
from cdc.observe.metrics import Clock, Metrics, StageMetrics
from cdc.observe.status import ProcessStatus, StageStatus, State

__all__ = [
    "Clock",
    "Metrics",
    "ProcessStatus",
    "StageMetrics",
    "StageStatus",
    "State",
    "configure_logging",
]
