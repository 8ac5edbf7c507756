"""The topic of dead letters: made, read, and what a stage has in it."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from cdc.config import ConnectorConfig
from cdc.dead_letters import DeadLetter, DeadLetters, Policy, dead_letters_topic, kept
from cdc.ports import Log
from cdc.wiring.ends import create_topics

logger = structlog.get_logger()


def open_dead_letters(config: ConnectorConfig, log: Log, stage: str, policy: Policy) -> DeadLetters:
    """What becomes of a stage's changes that can't go on; the topic is there if it is needed."""
    if not policy.dead_letter:
        return DeadLetters(policy)
    topic = dead_letters_topic(config.connector)
    create_topics(log, config.topics.internal_topic(topic))
    mine = of_stage(stage, read_dead_letters(config, log).values())
    if mine:
        logger.warning(
            "dead letters are kept",
            stage=stage,
            count=len(mine),
            count_max=policy.count_max,
            hint="cdc dead list",
        )
    return DeadLetters(policy, len(mine), _say)


def _say(letter: DeadLetter) -> None:
    logger.warning(
        "dead letter", stage=letter.stage, id=letter.id, kind=letter.kind, why=letter.reason
    )


def of_stage(stage: str, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return [one for one in letters if one.stage == stage]


def read_dead_letters(config: ConnectorConfig, log: Log) -> dict[str, DeadLetter]:
    """By id, in the order they were made, those that were neither redriven nor dropped."""
    topic = dead_letters_topic(config.connector)
    if topic not in log.topics():
        return {}
    return kept(log.follow(topic, {}, wait_seconds=0))
