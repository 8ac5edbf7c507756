"""Whether every stage is really connected and moving, or stands by."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.observe import ProcessStatus, StageStatus


def why_not_ready(status: ProcessStatus, within_seconds: float) -> Mapping[str, str]:
    """Stage → what it lacks; empty when all are ready."""
    if not status.stages:
        return {"process": "no stage has started"}
    reasons = {stage.stage: _why_not(stage, within_seconds) for stage in status.stages}
    return {stage: reason for stage, reason in reasons.items() if reason}


def _why_not(stage: StageStatus, within_seconds: float) -> str:
    if stage.state == "standby":
        return ""  # or two instances could never be rolled out
    if stage.state != "running" or not stage.is_connected:
        return f"{stage.state}: {stage.reason}" if stage.reason else stage.state
    seen = stage.last_seen_seconds_ago
    if seen is None:
        return "connected, but no event and no heartbeat came yet"
    if seen > within_seconds:
        return f"no event and no heartbeat for {seen:.0f} seconds; {within_seconds:.0f} are allowed"
    return ""
