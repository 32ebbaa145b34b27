"""Every file of a data set looked at once: in parallel, and what was seen is kept.

What was seen lies in the user's cache folder, one file per folder of the data set. It counts for as
long as name, length and time of change of a file stay. Letters: H, W size in pixels.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from tqdm import tqdm

from autoseg_core.files import replacing

from .images import check_image
from .labels import LabelError, Palette, read_values

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a file holds. counts: pixels of each value of a label, as in the file; {} for images."""

    height: int
    width: int
    counts: dict[int, int]


_KEPT = TypeAdapter(dict[str, Seen])  # by name, length in bytes and time of change of a file


def look_at_images(paths: Sequence[str]) -> dict[str, Seen | str]:
    """What each image is like, or what is wrong with it, by path; see `images.check_image`."""
    return _look_at(paths, lambda path: Seen(*check_image(path), {}), "images")


def look_at_labels(paths: Sequence[str], palette: Palette = ()) -> dict[str, Seen | str]:
    """The same for labels, which are decoded. palette: INPUT.LABEL_PALETTE."""
    kind = f"labels-{_digest(str([list(row) for row in palette]))}" if palette else "labels"
    return _look_at(paths, lambda path: _look_at_label(path, palette), kind)


def _look_at_label(path: str, palette: Palette) -> Seen:
    raw = read_values(path, palette)
    height, width = raw.shape
    values, counts = np.unique(raw, return_counts=True)
    return Seen(height, width, dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _look_at(paths: Sequence[str], look: Callable[[str], Seen], kind: str) -> dict[str, Seen | str]:
    kept = {folder: _read(folder, kind) for folder in {os.path.dirname(path) for path in paths}}
    fresh: dict[str, dict[str, Seen]] = {folder: {} for folder in kept}

    def once(path: str) -> Seen | str:
        folder, name = os.path.split(path)
        try:
            status = os.stat(path)
            key = f"{name} {status.st_size} {status.st_mtime_ns}"
            if key not in kept[folder]:
                fresh[folder][key] = look(path)
            return kept[folder].get(key) or fresh[folder][key]
        except FileNotFoundError:
            return f"{path}: no such file"
        except (OSError, LabelError) as error:
            return str(error)

    with ThreadPoolExecutor() as pool:  # decoding lets go of Python's lock
        work = tqdm(pool.map(once, paths), f"{kind} looked at", len(paths), disable=None, delay=2)
        found = dict(zip(paths, work, strict=True))
    for folder, new in fresh.items():
        if new:
            changed = {_name(key) for key in new}
            still = {key: seen for key, seen in kept[folder].items() if _name(key) not in changed}
            _write(folder, kind, still | new)
    return found


def _name(key: str) -> str:
    return key.rsplit(" ", 2)[0]


def _read(folder: str, kind: str) -> dict[str, Seen]:
    """Those that are kept of a folder; {} where there are none, or none that can be read."""
    try:
        return _KEPT.validate_json(_place(folder, kind).read_bytes())
    except (OSError, ValueError):
        return {}


def _write(folder: str, kind: str, seen: dict[str, Seen]) -> None:
    place = _place(folder, kind)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as partial:
            partial.write_bytes(_KEPT.dump_json(seen))
    except OSError as error:
        logger.warning("looks at %s cannot be kept, the next run takes as long: %s", folder, error)


def _place(folder: str, kind: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "auto_seg_loss"
    return cache / f"{_digest(os.path.abspath(folder))}-{kind}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
