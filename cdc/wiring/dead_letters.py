"""The topic of dead letters: made, read, and what a stage has in it."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from cdc.config import ConnectorConfig
from cdc.dead_letters import (
    HELD,
    DeadLetter,
    DeadLetters,
    Policy,
    dead_letters_topic,
    held_keys_of,
    kept,
)
from cdc.held_keys import HeldKeys
from cdc.ports import Log
from cdc.wiring.ends import create_topics

logger = structlog.get_logger()


def open_dead_letters(config: ConnectorConfig, log: Log, stage: str, policy: Policy) -> DeadLetters:
    """What becomes of a stage's changes that can't go on; the topic is there if it is needed.

    To be called when the stage's writer is there: nothing that an earlier one wrote comes later.
    So the keys that are held are those of the checkpoint, of whose transactions they are."""
    topic = dead_letters_topic(config.connector)
    if policy.dead_letter:
        create_topics(log, config.topics.internal_topic(topic))
    elif not policy.is_holding:
        return DeadLetters(policy)
    mine = of_stage(stage, read_dead_letters(config, log, is_whole=True, is_bare=True).values())
    held_count = sum(one.kind == HELD for one in mine)
    held_keys = held_keys_of(mine) if policy.is_holding else HeldKeys()
    kept_count = len(mine) - held_count
    if mine:
        logger.warning(
            "dead letters are kept",
            stage=stage,
            count=kept_count,
            count_max=policy.count_max,
            held=held_count,
            held_max=policy.held_max,
            hint="cdc dead list",
        )
    return DeadLetters(policy, kept_count, _say, held_count=held_count, held_keys=held_keys)


def _say(letter: DeadLetter) -> None:
    logger.warning(
        "dead letter", stage=letter.stage, id=letter.id, kind=letter.kind, why=letter.reason
    )


def of_stage(stage: str, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return [one for one in letters if one.stage == stage]


def read_dead_letters(
    config: ConnectorConfig, log: Log, *, is_whole: bool = False, is_bare: bool = False
) -> dict[str, DeadLetter]:
    """By id, in the order they were made, those that were neither redriven nor dropped.

    `is_whole`: Unreachable while an open transaction may hide some. `is_bare`: without the changes'
    bytes, so that many take little memory."""
    topic = dead_letters_topic(config.connector)
    if topic not in log.topics():
        return {}
    return kept(log.follow(topic, {}, wait_seconds=0, is_whole=is_whole), is_bare=is_bare)
