"""Files in which no point is missing or written twice, however often a training is resumed.

Detectron2's writers write an iteration once, and leave out what is put into it later: an evaluation
comes after the checkpoint, the losses before it. A resumed training first takes out what its past
has written beyond the checkpoint it starts from; one that starts anew takes out all.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from detectron2.utils.events import JSONWriter, TensorboardXWriter, get_event_storage

from autoseg_core.files import DamagedFileError, checked, parse_json, replacing

from .layout import Layout

_EVENT_FILES = "events.out.tfevents.*"
_Row = dict[str, int | float | None]
_WINDOW = 20  # iterations over which Detectron2's writers smooth losses


class Unwritten:
    """The scalars of the current EventStorage that this has not given out yet."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def __call__(self) -> dict[str, tuple[float, int]]:
        """Name -> (value, iteration)."""
        latest = get_event_storage().latest_with_smoothing_hint(_WINDOW)
        new = {n: (v, at) for n, (v, at) in latest.items() if at > self._given.get(n, -1)}
        self._given.update({name: at for name, (_, at) in new.items()})
        return new


class MetricsFile(JSONWriter):
    """Detectron2's metrics.json: one line per iteration, or two where an evaluation follows.

    Values that are not finite, such as the IoU of an absent class, are null. iteration: the first
    of the training.
    """

    def __init__(self, path: Path, iteration: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        keep_rows_before(path, iteration)
        super().__init__(str(path))
        self._unwritten = Unwritten()

    def write(self) -> None:
        """Append what is new."""
        rows: dict[int, dict[str, float]] = {}
        for name, (value, at) in self._unwritten().items():
            rows.setdefault(at, {"iteration": at})[name] = value
        for at in sorted(rows):
            self._file_handle.write(_line(rows[at]))
        self._file_handle.flush()


class Board(TensorboardXWriter):
    """Event files, with the layout of custom scalars; values that are not finite leave a gap.

    iteration: the first of the training. Readers drop what older files hold from there on.
    """

    def __init__(self, directory: Path, layout: Layout, iteration: int) -> None:
        if iteration == 0:
            for old in directory.glob(_EVENT_FILES):
                old.unlink()
        super().__init__(str(directory), purge_step=iteration)
        self._writer.flush()  # Detectron2's main opens it when it is first used
        self._unwritten = Unwritten()
        if iteration == 0:
            self._writer.add_custom_scalars(layout)

    def write(self) -> None:
        """Append what is new, images and histograms too."""
        for name, (value, at) in self._unwritten().items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, at)
        self._last_write = math.inf  # no scalars are left for Detectron2's own loop over them
        super().write()
        self._writer.flush()


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.json, null as NaN; [] without a file.

    Of a last line that was cut off, nothing. ``DamagedFileError`` for another that is no row.
    """
    *lines, _ = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    try:
        rows = [parse_json(line, _Row) for line in lines]
        checked([row.get("iteration") for row in rows], list[int])
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error}); mend or delete it.") from None
    return [{name: math.nan if v is None else v for name, v in row.items()} for row in rows]


def keep_rows_before(path: Path, iteration: int) -> None:
    """Take the rows of this and later iterations out of a metrics.json, if there is one."""
    if not path.is_file():
        return
    kept = [row for row in read_rows(path) if row["iteration"] < iteration]
    with replacing(path) as partial:
        partial.write_text("".join(map(_line, kept)))


def _line(row: dict[str, float]) -> str:
    """One row as JSON, which has no NaN or infinity."""
    finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
    return json.dumps(finite, sort_keys=True, allow_nan=False) + "\n"
