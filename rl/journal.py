"""The record of a search: append-only JSON lines that survive SIGKILL at any moment.

The first line is a header {"format": 1, "kind": "header", ...settings}; every other line is a
record with a "kind". A record is on disk before `append` returns. A file is data: reading one
parses JSON and executes nothing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field
from pydantic_core import to_json

from autoseg_core.files import checked, naming, parse_json, user_path
from rl.settings_diff import differences
from rl.signals import uninterrupted

FORMAT = 1  # version of the files that this module writes and reads

EVALUATIONS = ("candidate", "rung")  # kinds of the records that cost an evaluation

Record = dict[str, Any]

Share = Annotated[float, Field(ge=-1e-9, le=1 + 1e-9)]
"""A number in [0, 1], up to the rounding error of a weighted mean."""


class _Evaluation(BaseModel):
    """The fields of an evaluation's record that every reader needs; it may hold more."""

    id: str
    theta: list[Share]
    status: str
    reward: Share | None


_logger = logging.getLogger(__name__)


class JournalError(RuntimeError):
    """A journal that cannot be used as asked; the message says why and what to do."""


class Journal(AbstractContextManager["Journal"]):
    """A journal open for appending; a lock keeps a second search out.

    Make one with `create` or `resume`; close it, or use it in a with statement.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], resume: bool) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "kind": "header", **header}
        with ExitStack() as held:
            held.enter_context(_sole_use(path))
            records, whole_bytes = _parse(path)
            if resume and records:
                _check_same(path, records[0], header)
                os.truncate(path, whole_bytes)
            elif any(record["kind"] in EVALUATIONS for record in records):
                raise JournalError(
                    f"{path} already holds a search and is not overwritten: add --resume to the "
                    "command that started it (in Python: Journal.resume), or choose another output "
                    "directory"
                )
            else:
                records = []
                path.unlink(missing_ok=True)
            self._file, self.records = held.enter_context(path.open("ab")), records
            if not records:
                self.append(header)
            del self.records[0]  # the header
            self._held = held.pop_all()

    @classmethod
    def create(cls, path: str | Path, header: Mapping[str, Any]) -> Journal:
        """Start a new journal; the directory is made if missing.

        JournalError: a search runs there or has left evaluations; one without any is replaced.
        """
        return cls(user_path(path), header, resume=False)

    @classmethod
    def resume(cls, path: str | Path, header: Mapping[str, Any]) -> Journal:
        """Continue a journal; a torn last line is reported and removed.

        A missing journal, or one killed before its header was complete, starts from scratch.
        JournalError: the header differs (which keys, old -> new), a malformed line, or a search
        that is still running there.
        """
        journal = cls(user_path(path), header, resume=True)
        if not journal.records:
            _logger.warning("%s held nothing to resume; the search starts from the beginning", path)
        return journal

    def append(self, record: Mapping[str, Any]) -> Record:
        """Write one record to disk; returns it as a reader will see it.

        Numbers round-trip exactly; NaN and infinity become null; numpy values become plain ones.
        ValueError for a record that readers would refuse, such as one with a reward outside [0, 1].
        """
        line = _line(record)
        plain = _record(line, is_first=self._file.tell() == 0)
        with uninterrupted(), naming(self.path):
            self._file.write(line + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self.records.append(plain)
        return plain

    def close(self) -> None:
        """Close the file and release the lock."""
        self._held.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def read_journal(path: str | Path) -> list[Record]:
    """All records, the header first, for tools: takes no lock, changes nothing.

    A torn last line is reported and left out; [] if the header is incomplete.
    Raises JournalError for a malformed line, FileNotFoundError.
    """
    Path(path).stat()
    return _parse(Path(path))[0]


def _sole_use(path: Path) -> AbstractContextManager[Any]:
    try:
        return FileLock(f"{path}.lock").acquire(blocking=False)
    except Timeout:
        raise JournalError(
            f"another search is running in {path.parent}; wait for it, stop it, or choose another "
            "output directory"
        ) from None


def _line(record: Mapping[str, Any]) -> bytes:
    return to_json(record, inf_nan_mode="null", fallback=lambda array: array.tolist())


def _parse(path: Path) -> tuple[list[Record], int]:
    """Records of the whole lines, header first, and how many bytes those lines take."""
    content = path.read_bytes() if path.exists() else b""
    *lines, torn = content.split(b"\n")
    if torn:
        words = "%s: line %d is torn, as after a kill; its evaluation is repeated"
        _logger.warning(words, path, len(lines) + 1)
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_record(line, is_first=number == 1))
        except ValueError as error:
            raise JournalError(
                f"{path}, line {number} is malformed: {error}. If something other than a search "
                "changed the file, restore it; or start again in another output directory"
            ) from None
    return records, len(content) - len(torn)


def _record(line: bytes, is_first: bool) -> Record:
    """The record of a line; ValueError unless it holds what all readers of its kind need."""
    record = parse_json(line, Record)
    kind = record.get("kind")
    if not isinstance(kind, str) or (kind == "header") != is_first:
        raise ValueError(f"expected a kind, 'header' on line 1 and nowhere else; got {kind!r}")
    if is_first and record.get("format") != FORMAT:
        raise ValueError(
            f"expected format {FORMAT}, got {record.get('format')!r}: a newer version wrote it"
        )
    if kind in EVALUATIONS:
        checked(record, _Evaluation)
    return record


def _check_same(path: Path, old: Record, header: Mapping[str, Any]) -> None:
    # Through JSON and back, so that it compares equal with what a reader gets. An absent key does
    # not count as a default: the meaning of the records may have changed with it.
    if rows := differences(old, json.loads(_line(header))):
        raise JournalError(
            f"{path} belongs to a search with different settings (old -> new):\n  "
            + "\n  ".join(rows)
            + "\nResume with the old settings, or start the new ones in another output directory; "
            "where a setting is absent, resume with the version that began the search"
        )
