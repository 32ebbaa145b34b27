"""A record: trials kept once, whole after a crash, bound to their settings."""

from __future__ import annotations

import pytest

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.record import Record, Trial
from autoseg_core.files import DamagedFileError

SETTINGS = {"SOLVER": {"IMS_PER_BATCH": 8}}
TRIAL = Trial("cross_entropy", 0.05, 3, seed=1)
SCORED = {"scores": {"a": {"mIoU": 0.5}}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def test_a_line_that_was_cut_off_is_forgotten_and_the_last_of_two_counts(path):
    record = Record(path, SETTINGS)
    record.add(TRIAL, {"failed": "no memory"})
    record.add(TRIAL, SCORED)
    with path.open("a") as file:
        file.write('{"loss": "dice", "ra')
    record = Record(path, SETTINGS)
    assert record.results == {TRIAL: SCORED}
    record.add(Trial("dice", 0.1, 3, 1), {"scores": {}})
    assert len(Record(path, SETTINGS).results) == 2


def test_a_failure_keeps_the_scores_that_were_known_before(path):
    record = Record(path, SETTINGS)
    for result in (SCORED, {"failed": "no memory"}, {"failed": "no disk"}):
        record.add(TRIAL, result)
    assert Record(path, SETTINGS).results == {TRIAL: {**SCORED, "failed": "no disk"}}
    record.add(TRIAL, SCORED)
    assert Record(path, SETTINGS).results == {TRIAL: SCORED}


def test_a_file_of_the_first_version_is_read(path):
    path.write_text(
        '{"settings": {"SOLVER": {"IMS_PER_BATCH": 8, "GONE": 1}}}\n'
        '{"loss": "dice", "rate": 0.3, "iterations": 9, "seed": 1, "digest": "", '
        '"scores": {"a": {"mIoU": 0.5}}}\n'
    )
    results = Record(path, {"SOLVER": {"IMS_PER_BATCH": 8, "NEW": 1}}).results
    assert results == {Trial("dice", 0.3, 9, 1): SCORED}


def test_a_file_of_other_settings_is_refused_once_it_has_scores(path):
    Record(path, SETTINGS).add(TRIAL, {"failed": "a mistake in the config"})
    record = Record(path, {"SOLVER": {"IMS_PER_BATCH": 4}})
    assert record.results == {}
    record.add(TRIAL, {"scores": {}})
    with pytest.raises(ConfigError, match=r"IMS_PER_BATCH: 4 -> 8.*another OUTPUT_DIR"):
        Record(path, SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        '{"iteration": 3}\n',
        '{"settings": {}}\n{"loss": "dice", "ra\n',
        '{"settings": {}}\n{"loss": "dice"}\n',
    ],
)
def test_a_file_that_is_no_record_is_left_alone(path, text):
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=r"trials\.jsonl"):
        Record(path, SETTINGS)
    assert path.read_text() == text
