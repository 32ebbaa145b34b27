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


def _written(path: Path, *records: dict) -> bytes:
    with Journal.create(path, HEADER) as journal:
        for record in records:
            journal.append(record)
    return path.read_bytes()


def test_append_returns_what_a_reader_sees_after_the_header(path: Path) -> None:
    rude = {"kind": "x", "theta": np.array([0.5, np.nan]), "n": np.int64(3), "s": (math.inf, "é")}
    plain = {"kind": "x", "theta": [0.5, None], "n": 3, "s": [None, "é"]}
    with Journal.create(path, HEADER) as journal:
        assert [journal.append(one) for one in (RECORD, rude)] == [RECORD, plain]
        assert journal.records == [RECORD, plain]
    header = {"format": FORMAT, "kind": "header", **HEADER}
    assert read_journal(path) == [header, RECORD, plain]
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize("cut", [1, 20])
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
    assert "held nothing to resume" in caplog.text
    assert [record["kind"] for record in read_journal(path)] == ["header"]


def test_another_header_names_exactly_what_differs(path: Path) -> None:
    before = _written(path)
    other = {"ppo": {"lr": 0.1, "clip": 0.2}, "rounds": 12, "metric": "mIoU"}
    with pytest.raises(JournalError) as caught:
        Journal.resume(path, other)
    _, *rows, _ = str(caught.value).splitlines()
    named = [row.strip().partition(":")[0] for row in rows]
    assert named == ["metric", "ppo.lr", "rounds", "seed"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("enter", [Journal.create, Journal.resume])
def test_a_second_search_is_kept_out(path: Path, enter) -> None:
    with Journal.create(path, HEADER), pytest.raises(JournalError, match="another search"):
        enter(path, HEADER)
    Journal.resume(path, HEADER).close()


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


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_no_evaluation_is_ever_written_over(path: Path, kind: str) -> None:
    before = _written(path, {**RECORD, "kind": kind})
    with pytest.raises(JournalError, match=r"--resume"):
        Journal.create(path, HEADER)
    assert path.read_bytes() == before
    Journal.resume(path, HEADER).close()  # the refusal let go of the lock


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"{broken", ""),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (json.dumps({**RECORD, "reward": 5}).encode(), "reward"),
        (json.dumps({**RECORD, "theta": [0.5, -0.1]}).encode(), "theta: 1"),
        (b'{"id": 3}', "kind"),
        (b'{"kind": "header", "format": 1}', "header"),
        (b"\xff\xfe", ""),
    ],
)
def test_a_malformed_line_is_named(path: Path, line: bytes, named: str) -> None:
    header, record = _written(path, RECORD).splitlines()
    path.write_bytes(b"\n".join([header, line, record, b""]))
    for read in (read_journal, lambda path: Journal.resume(path, HEADER)):
        with pytest.raises(JournalError, match=rf"line 2 is malformed: .*{named}") as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("header", ['"kind": "candidate"', '"kind": "header", "format": 2'])
def test_a_first_line_that_is_no_header_of_this_version(path: Path, header: str) -> None:
    path.write_text(f"{{{header}}}\n")
    with pytest.raises(JournalError, match="line 1"):
        read_journal(path)


@pytest.mark.parametrize("record", [{}, {"kind": "header"}, {**RECORD, "reward": 2.0}])
def test_what_a_reader_would_refuse_is_not_written(path: Path, record: dict) -> None:
    before = _written(path)
    with Journal.resume(path, HEADER) as journal, pytest.raises(ValueError):
        journal.append(record)
    assert path.read_bytes() == before
