"""Pictures of what a cell predicts: prediction, truth and borders of the same test images.

H, W: pixels, at most LONGEST on the longer side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from numpy.typing import NDArray
from PIL import Image

from auto_seg_loss.data import read_image
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.inspection import PREDICTIONS, read_truth, shown_records, wanted
from auto_seg_loss.visualize import boundary_overlay, overlay, shrunk

LONGEST = 512

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Of one image, (H, W, 3) uint8 each: labels over the image, and both borders."""

    prediction: Picture
    truth: Picture
    borders: Picture


def pictures_of(result: CellResult) -> list[Pictures]:
    """Those of STUDY.IMAGES; [] for a cell that was not inspected, or with other images."""
    cfg, names = result.cell.config, result.shown.get("images")
    if result.reason or not names or names != wanted(cfg)["images"]:
        return []
    colours = MetadataCatalog.get(cfg.DATASETS.TEST[0]).stuff_colors
    folder = result.cell.directory / PREDICTIONS
    return [
        _draw(record, read_truth(cfg, record), folder / f"{place}.png", colours)
        for place, record in enumerate(shown_records(cfg))
    ]


def _draw(
    record: dict[str, Any], truth: NDArray[Any], prediction: Path, colours: Sequence[Sequence[int]]
) -> Pictures:
    image = shrunk(read_image(record["file_name"], "RGB"), LONGEST)
    small = shrunk(truth, LONGEST)
    with Image.open(prediction) as file:
        guess = shrunk(np.asarray(file), LONGEST)
    return Pictures(
        overlay(image, guess, colours),
        overlay(image, small, colours),
        boundary_overlay(image, guess, small, len(colours)),
    )
