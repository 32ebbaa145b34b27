"""The record of trainings: each is a line of a file, and none is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core.files import DamagedFileError, parse_json, replacing
from rl.settings_diff import differences

RECORD = "trials.jsonl"
"""A record's file, in OUTPUT_DIR."""

Result = dict[str, Any]
"""What a trial gave. "scores": data set -> name -> value, metrics in [0, 1]; {} for a training
that diverged. A study's cell that failed has "failed", the reason, in its place. "curve", where it
was asked for: pairs of an iteration and the scores on the hold-out after it, the last left out."""


@dataclass(frozen=True)
class Trial:
    """A training: loss, a name of the registry or of ``load_spec``; learning rate; length; seed.

    digest: of the files that the training depends on, such as the spec of the loss.
    """

    loss: str
    rate: float
    iterations: int
    seed: int
    digest: str = ""

    @property
    def name(self) -> str:
        """Of a file or a folder."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class Record:
    """Results of trials: a file of JSON lines, of which the first holds the settings of all.

    Of two lines of one trial the last counts. A line that a crash has cut off is made again.
    ``ConfigError`` for a file of other settings, unless it holds no scores; ``DamagedFileError``
    for a line that is none of this file.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        kept, self.results = _read(path)
        changed = changed_settings(kept, settings)
        if changed and any("scores" in result for result in self.results.values()):
            raise ConfigError(
                f"{path} holds trainings with other settings ({'; '.join(changed[:5])}): give "
                "another OUTPUT_DIR."
            )
        if changed or not kept:
            self.results = {}
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_text(json.dumps({"settings": settings}) + "\n", encoding="utf-8")

    def add(self, trial: Trial, result: Result) -> None:
        """Keep a result, in memory and at the end of the file."""
        self.results[trial] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(trial), **result}) + "\n")


def changed_settings(kept: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What differs; a key that only one has is of another version of this program."""
    return [one for one in differences(kept, settings) if "(absent)" not in one]


def _read(path: Path) -> tuple[dict[str, Any], dict[Trial, Result]]:
    """Settings and results of a record, {} without one; the file loses a line that was cut off."""
    *lines, rest = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    try:
        head, *found = [parse_json(line, dict[str, Any]) for line in lines] or [{"settings": {}}]
        settings, results = head["settings"], dict(map(_parse, found))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); mend or delete it.") from None
    if rest:
        with replacing(path) as partial:
            partial.write_bytes(b"".join(line + b"\n" for line in lines))
    return settings, results


def _parse(values: dict[str, Any]) -> tuple[Trial, Result]:
    names = Trial.__dataclass_fields__
    trial = Trial(**{key: value for key, value in values.items() if key in names})
    return trial, {key: value for key, value in values.items() if key not in names}
