"""What a search remembers: append-only JSON lines that survive SIGKILL at any instant.

The first line is a header {"format": 1, "kind": "header", ...settings}; every other line is a
record with a "kind". A record is on the disk before `append` returns. A file is data: reading one
parses JSON and executes nothing.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from autoseg_core.files import checked, naming, parse_json
from rl.locks import FileLock, LockedError
from rl.settings_diff import differences
from rl.signals import uninterrupted

FORMAT = 1
"""Version of the files that this module writes and reads."""

EVALUATIONS = ("candidate", "rung")
"""Kinds of the records that cost an evaluation: what a journal is there to keep."""

Record = dict[str, Any]

Share = Annotated[float, Field(ge=-1e-9, le=1 + 1e-9)]
"""A number in [0, 1], up to the rounding of a weighted mean."""


class _Evaluation(BaseModel):
    """What every reader of an evaluation's record counts on; it may hold more."""

    id: str
    theta: list[Share]
    status: str
    reward: Share | None


_logger = logging.getLogger(__name__)


class JournalError(RuntimeError):
    """A journal that cannot be used as asked; the message says why and what to do."""


class Journal(AbstractContextManager["Journal"]):
    """A journal open for appending, and the only one: a lock keeps a second search out.

    Make one with `create` or `resume`; close it, or use it in a with statement.
    """

    def __init__(self, path: Path, lock: FileLock, header: Record, records: list[Record]) -> None:
        self.path = path
        self.header = header
        self.records = records
        self._lock = lock
        self._file = path.open("ab")

    @classmethod
    def create(cls, path: str | Path, header: Mapping[str, Any]) -> Journal:
        """Start a new journal in a directory made when missing.

        JournalError: there is one with evaluations already, or a search runs there. One without
        has nothing to lose and is replaced.
        """
        path = Path(path)
        with _locked(path) as lock:
            if path.exists() and any(r["kind"] in EVALUATIONS for r in _parse(path)[0]):
                raise JournalError(
                    f"{path} exists already and is not overwritten: continue that search with "
                    "Journal.resume (on a command line: --resume), or choose another output "
                    "directory"
                )
            path.unlink(missing_ok=True)
            return cls._start(path, lock, header)

    @classmethod
    def resume(cls, path: str | Path, header: Mapping[str, Any]) -> Journal:
        """Continue a journal; a torn last line is reported and cut off.

        A journal that was killed before its header was complete, or never begun, starts afresh.
        JournalError: the header differs (which keys, old -> new), a malformed line, or a search
        that still runs there.
        """
        path = Path(path)
        with _locked(path) as lock:
            records, whole_bytes = _parse(path) if path.exists() else ([], 0)
            if not records:
                _logger.warning("%s holds nothing to resume; the search starts anew", path)
                path.unlink(missing_ok=True)
                return cls._start(path, lock, header)
            _check_same(path, records[0], _complete(header))
            os.truncate(path, whole_bytes)
            return cls(path, lock, records[0], records[1:])

    @classmethod
    def _start(cls, path: Path, lock: FileLock, header: Mapping[str, Any]) -> Journal:
        complete = _complete(header)
        journal = cls(path, lock, complete, [])
        with uninterrupted():
            journal._write(complete)
        return journal

    def append(self, record: Mapping[str, Any]) -> Record:
        """Write one record through to the disk; returns it as a reader will see it.

        Numbers round-trip exactly; NaN and infinity become null; numpy values become plain ones.
        ValueError for a record that a reader would refuse, such as of a reward outside [0, 1].
        """
        plain: Record = _plain(record)
        _check(plain)
        if plain["kind"] == "header":
            raise ValueError(f"a record needs a kind other than 'header', got {plain!r}")
        with uninterrupted():
            self._write(plain)
            self.records.append(plain)
        return plain

    def _write(self, record: Record) -> None:
        line = json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
        with naming(self.path):
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and let the next search in."""
        self._file.close()
        self._lock.release()

    def __exit__(self, *error: object) -> None:
        self.close()


def read_journal(path: str | Path) -> list[Record]:
    """All records, the header first, for tools: takes no lock, changes nothing.

    A torn last line is reported and left out; [] when not even the header is complete.
    Raises JournalError for a malformed line, FileNotFoundError.
    """
    return _parse(Path(path))[0]


@contextmanager
def _locked(path: Path) -> Iterator[FileLock]:
    """The lock of a journal, which an exception in here lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path.with_name(path.name + ".lock"))
    except LockedError as error:
        raise JournalError(
            f"another search is running in {path.parent} ({error}); wait for it, stop it, or "
            "choose another output directory"
        ) from None
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _plain(value: Any) -> Any:
    """JSON values: numpy unwrapped, NaN and infinity to None; the rest is for json to refuse."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _complete(header: Mapping[str, Any]) -> Record:
    # Through JSON and back, so that it compares equal with what a reader gets.
    complete: Record = json.loads(
        json.dumps({"format": FORMAT, "kind": "header", **_plain(header)}, allow_nan=False)
    )
    return complete


def _parse(path: Path) -> tuple[list[Record], int]:
    """Records of the whole lines, header first, and how many bytes those lines take."""
    content = path.read_bytes()
    *lines, torn = content.split(b"\n")
    if torn:
        _logger.warning(
            "%s: line %d is torn (%d bytes without an end, written as the search was killed); "
            "it is left out, and what it held is evaluated again",
            path,
            len(lines) + 1,
            len(torn),
        )
    records = [_parse_line(path, number, line) for number, line in enumerate(lines, start=1)]
    return records, len(content) - len(torn)


def _parse_line(path: Path, number: int, line: bytes) -> Record:
    try:
        record = parse_json(line, Record)
        if (record.get("kind") == "header") != (number == 1):
            raise ValueError("expected a header on line 1 and nowhere else")
        if number == 1 and record.get("format") != FORMAT:
            raise ValueError(
                f"expected format {FORMAT}, got {record.get('format')!r}: a newer version wrote it"
            )
        _check(record)
    except ValueError as error:
        raise JournalError(
            f"{path}, line {number} is malformed: {error}. If something other than a search "
            "changed the file, restore it, or start again in another output directory"
        ) from None
    return record


def _check(record: Record) -> None:
    """ValueError unless it has a kind, and what all readers of an evaluation count on."""
    if not isinstance(record.get("kind"), str):
        raise ValueError(f"a record needs a kind, got {record!r}")
    if record["kind"] in EVALUATIONS:
        checked(record, _Evaluation)


def _check_same(path: Path, old: Record, new: Record) -> None:
    # What is absent is not taken as a default: the meaning of the records can have changed with it.
    if rows := differences(old, new):
        raise JournalError(
            f"{path} belongs to a search with other settings (old -> new):\n  "
            + "\n  ".join(rows)
            + "\nResume with the old settings, or start the new ones in another output directory; "
            "where a setting is absent, resume with the version that began the search"
        )
