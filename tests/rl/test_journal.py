"""The journal: exact, append-only, one writer, and plain words when something is wrong."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from rl.journal import EVALUATIONS, FORMAT, Journal, JournalError, read_journal

HEADER = {"seed": 1, "ppo": {"lr": 0.2, "clip": 0.2}}
RECORD = {
    "kind": "candidate",
    "id": "r00c00",
    "theta": [0.1 + 0.2, 1 / 3, 5e-324],
    "status": "ok",
    "reward": 0.5,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def edited(key: str, value: object) -> bytes:
    """RECORD as a line, with another value."""
    return json.dumps({**RECORD, key: value}).encode()


def _written(path: Path, *records: dict) -> bytes:
    with Journal.create(path, HEADER) as journal:
        for record in records:
            journal.append(record)
    return path.read_bytes()


def test_header_comes_first_then_records_exactly(path: Path) -> None:
    _written(path, RECORD)
    header, record = read_journal(path)
    assert header == {"format": FORMAT, "kind": "header", **HEADER}
    assert record == RECORD


def test_each_record_is_a_line_on_the_disk_at_once(path: Path) -> None:
    with Journal.create(path, HEADER) as journal:
        assert len(path.read_text().splitlines()) == 1
        journal.append(RECORD)
        assert json.loads(path.read_text().splitlines()[1]) == RECORD


def test_append_returns_what_a_reader_sees(path: Path) -> None:
    rude = {"kind": "x", "theta": np.array([0.5, np.nan]), "n": np.int64(3), "s": (math.inf, "é")}
    with Journal.create(path, HEADER) as journal:
        record = journal.append(rude)
        assert journal.records == [record]
    assert record == {"kind": "x", "theta": [0.5, None], "n": 3, "s": [None, "é"]}
    assert read_journal(path)[1] == record
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize("record", [{}, {"kind": "header"}, {"kind": 3}])
def test_records_need_a_kind(path: Path, record: dict) -> None:
    with (
        Journal.create(path, HEADER) as journal,
        pytest.raises(ValueError, match="needs a kind"),
    ):
        journal.append(record)


def test_objects_are_not_data(path: Path) -> None:
    before = _written(path)
    with Journal.resume(path, HEADER) as journal, pytest.raises(TypeError, match="JSON"):
        journal.append({"kind": "x", "value": object()})
    assert path.read_bytes() == before


def test_create_refuses_an_existing_journal(path: Path) -> None:
    before = _written(path, RECORD)
    with pytest.raises(
        JournalError, match=r"exists already .* Journal\.resume .* --resume\), or choose another"
    ):
        Journal.create(path, HEADER)
    assert path.read_bytes() == before
    Journal.resume(path, HEADER).close()  # the refusal let go of the lock


def test_create_makes_the_directory(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "new" / "deep" / "journal.jsonl", HEADER) as journal:
        assert journal.path.is_file()


def test_create_replaces_a_journal_without_candidates(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal.create(path, HEADER) as journal:
        journal.append({"kind": "start"})
    with Journal.create(path, {**HEADER, "other": 1}) as journal:
        assert journal.records == []
    assert len(read_journal(path)) == 1


def test_resume_appends(path: Path) -> None:
    before = _written(path, RECORD)
    with Journal.resume(path, HEADER) as journal:
        assert journal.records == [RECORD]
        journal.append({"kind": "round"})
    assert path.read_bytes().startswith(before)
    assert [record["kind"] for record in read_journal(path)] == ["header", "candidate", "round"]


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_torn_last_line_is_reported_and_cut_off(path: Path, cut: int, caplog) -> None:
    whole = _written(path, RECORD, {**RECORD, "id": "r00c01"})
    path.write_bytes(whole[:-cut])
    with caplog.at_level(logging.WARNING):
        assert read_journal(path)[1:] == [RECORD]
    assert "line 3 is torn" in caplog.text
    assert path.read_bytes() == whole[:-cut]  # reading changes nothing
    with Journal.resume(path, HEADER) as journal:
        assert journal.records == [RECORD]
        journal.append({**RECORD, "id": "r00c01"})
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [None, b"", b'{"format": 1, "ki'])
def test_a_journal_killed_before_its_header_starts_afresh(path: Path, content, caplog) -> None:
    if content is not None:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING), Journal.resume(path, HEADER) as journal:
        assert journal.records == []
    assert "nothing to resume" in caplog.text
    assert [record["kind"] for record in read_journal(path)] == ["header"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{broken", "line 2 is malformed"),
        (b"", "line 2 is malformed"),
        (b"[1, 2]", "should be a valid dictionary, got"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (edited("reward", 5), "reward: .* less than or equal to 1"),
        (edited("reward", 1e999), "Infinity is not JSON"),
        (edited("reward", "0.5"), "reward: .* valid number, got '0.5'"),
        (edited("theta", [0.5, -0.1]), "theta: 1: .* greater than or equal to"),
        (edited("id", None), "id: .* valid string, got None"),
        (b'{"id": 3}', "a record needs a kind"),
        (b'{"kind": "candidate", "reward": NaN}', "NaN is not JSON"),
        (b'{"kind": "header", "format": 1}', "header on line 1 and nowhere else"),
        (b"\xff\xfe", "line 2 is malformed"),
    ],
)
def test_malformed_line_names_file_and_line(path: Path, line: bytes, problem: str) -> None:
    header, record = _written(path, RECORD).splitlines()
    path.write_bytes(b"\n".join([header, line, record, b""]))
    for read in (read_journal, lambda path: Journal.resume(path, HEADER)):
        with pytest.raises(JournalError, match=problem) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_first_line_must_be_a_header(path: Path) -> None:
    path.write_text('{"kind": "candidate"}\n')
    with pytest.raises(JournalError, match="line 1 is malformed: expected a header"):
        read_journal(path)


@pytest.mark.parametrize("version", ["null", '"1"', "true", "0"])
def test_format_must_be_a_number(path: Path, version: str) -> None:
    path.write_text(f'{{"kind": "header", "format": {version}}}\n')
    with pytest.raises(JournalError, match="expected a format number"):
        read_journal(path)


def test_newer_format_is_refused(path: Path) -> None:
    path.write_text(f'{{"kind": "header", "format": {FORMAT + 1}}}\n')
    for read in (read_journal, lambda path: Journal.resume(path, HEADER)):
        with pytest.raises(JournalError, match=r"format 2, .* reads up to 1.*newer"):
            read(path)


def test_another_header_names_exactly_what_differs(path: Path) -> None:
    before = _written(path)
    other = {"ppo": {"lr": 0.1, "clip": 0.2}, "rounds": 12, "metric": "mIoU"}
    with pytest.raises(JournalError) as caught:
        Journal.resume(path, other)
    _, *rows, _, newer = str(caught.value).splitlines()
    assert [row.strip() for row in rows] == [
        'metric: (absent) -> "mIoU"',
        "ppo.lr: 0.2 -> 0.1",
        "rounds: (absent) -> 12",
        "seed: 1 -> (absent)",
    ]
    assert newer.endswith("is newer: resume with the version that began the search")
    assert path.read_bytes() == before


def test_headers_are_compared_as_json(path: Path) -> None:
    Journal.create(path, {"size": (96, 96), "lr": np.float64(0.1)}).close()
    Journal.resume(path, {"lr": 0.1, "size": [96, 96]}).close()


@pytest.mark.parametrize("enter", [Journal.create, Journal.resume])
def test_a_second_search_is_kept_out(path: Path, enter) -> None:
    with (
        Journal.create(path, HEADER),
        pytest.raises(JournalError, match="another search is running in"),
    ):
        enter(path, HEADER)
    Journal.resume(path, HEADER).close()


def test_reading_needs_no_lock(path: Path) -> None:
    with Journal.create(path, HEADER):
        assert len(read_journal(path)) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_does_not_keep_the_lock(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # like a data loader's worker that outlives its parent
        os.write(write_end, b"x")
        signal.pause()
        os._exit(0)
    try:
        os.read(read_end, 1)
        journal.close()
        Journal.resume(path, HEADER).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)
        os.close(write_end)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_s_exit_leaves_the_parent_s_lock(path: Path) -> None:
    with Journal.create(path, HEADER):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(JournalError, match="another search"):
            Journal.resume(path, HEADER)


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_no_evaluation_is_ever_written_over(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal.create(path, {}) as journal:
        journal.append({**RECORD, "kind": kind})
    with pytest.raises(JournalError, match="exists already and is not overwritten"):
        Journal.create(path, {})
