"""log_levels.py: no records, and the loggers as they were."""

from __future__ import annotations

import logging

import pytest

from auto_seg_loss.runtime.log_levels import LOGGERS, logs_off


@pytest.fixture(params=LOGGERS)
def logger(request):
    """One of the silenced loggers, at INFO."""
    logger = logging.getLogger(request.param)
    before = logger.level, list(logger.handlers), logger.propagate
    logger.setLevel(logging.INFO)
    logger.handlers = []
    yield logger
    logger.setLevel(before[0])
    logger.handlers, logger.propagate = before[1], before[2]


def test_quiet_drops_every_record_but_critical_ones_and_those_of_others(logger, caplog):
    with logs_off():
        logger.error("handled")
        logging.getLogger("another").warning("heard")
        logger.critical("broken")
    logger.info("again")
    assert [record.message for record in caplog.records] == ["heard", "broken", "again"]
