"""Checking every file of a data set once: in parallel, with cached results.

The results are in the user's cache folder, one file per folder of the data set. They are valid as
long as length and modification time of a file stay the same. Letters: H, W size in pixels.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
    """A file's content. counts: pixels of each value of a label, as in the file; {} for images."""

    height: int
    width: int
    counts: dict[int, int]


Kept = dict[str, tuple[int, int, Seen]]
"""By name: length in bytes, modification time, and the result for these."""
_KEPT = TypeAdapter(Kept)


def look_at_images(paths: Sequence[str]) -> dict[str, Seen | str]:
    """The content of each image, or what is wrong with it, by path; see `images.check_image`."""
    return _look_at(paths, lambda path: Seen(*check_image(path), {}), "images")


def look_at_labels(paths: Sequence[str], palette: Palette = ()) -> dict[str, Seen | str]:
    """The same for labels, which are decoded. palette: INPUT.LABEL_PALETTE."""
    kind = f"labels-{_digest(str([list(row) for row in palette]))}" if palette else "labels"
    return _look_at(paths, lambda path: _look_at_label(path, palette), kind)


def count_values(labels: Iterable[Seen]) -> Counter[int]:
    total: Counter[int] = Counter()
    for seen in labels:
        total.update(seen.counts)
    return total


def _look_at_label(path: str, palette: Palette) -> Seen:
    raw = read_values(path, palette)
    height, width = raw.shape
    values, counts = np.unique(raw, return_counts=True)
    return Seen(height, width, dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _look_at(paths: Sequence[str], look: Callable[[str], Seen], kind: str) -> dict[str, Seen | str]:
    kept = {folder: _read(folder, kind) for folder in {os.path.dirname(path) for path in paths}}
    fresh: dict[str, Kept] = {folder: {} for folder in kept}

    def once(path: str) -> Seen | str:
        folder, name = os.path.split(path)
        try:
            status = os.stat(path)
            stamp = (status.st_size, status.st_mtime_ns)
            if name in kept[folder] and kept[folder][name][:2] == stamp:
                return kept[folder][name][2]
            seen = look(path)
        except FileNotFoundError:
            return f"{path}: no such file"
        except (OSError, LabelError) as error:
            return str(error)
        fresh[folder][name] = (*stamp, seen)
        return seen

    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        work = tqdm(pool.map(once, paths), f"{kind} checked", len(paths), disable=None, delay=2)
        found = dict(zip(paths, work, strict=True))
    for folder, new in fresh.items():
        if new:
            _write(folder, kind, kept[folder] | new)
    return found


def _read(folder: str, kind: str) -> Kept:
    """The cached results of a folder; {} if there are none, or none that can be read."""
    try:
        return _KEPT.validate_json(_place(folder, kind).read_bytes())
    except (OSError, ValueError):
        return {}


def _write(folder: str, kind: str, kept: Kept) -> None:
    place = _place(folder, kind)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as partial:
            partial.write_bytes(_KEPT.dump_json(kept))
    except OSError as error:
        logger.warning("cannot cache %s, so the next run takes as long: %s", folder, error)


def _place(folder: str, kind: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "auto_seg_loss"
    return cache / f"{_digest(os.path.abspath(folder))}-{kind}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
