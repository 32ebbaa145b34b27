"""auto_seg_loss.data.neighbours: frames of a film in two parts are found, photographs are not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.data.neighbours import alike_neighbours


@pytest.fixture
def make(tmp_path):
    """``make(films, frames)``: pairs of films whose frames differ little; films differ much."""

    def draw(films, frames, sign="_"):
        rng = np.random.default_rng(0)
        pairs = []
        for film in range(films):
            scene = rng.integers(0, 256, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
            for frame in range(frames):
                pixels = np.clip(scene + rng.integers(-20, 20, scene.shape), 0, 255)
                path = tmp_path / f"{film:03d}{sign}{frame:03d}.png"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
                pairs.append({"file_name": str(path)})
        return pairs

    return draw


def halves(pairs, part):
    return {name: [p for i, p in enumerate(pairs) if part(i) == name] for name in ("train", "test")}


def every_second(i):
    return "test" if i % 2 else "train"


@pytest.mark.parametrize("sign", ["_", "/"])  # one folder, or one for each film
def test_frames_of_films_in_two_parts(make, sign):
    words = alike_neighbours(halves(make(4, 10, sign), every_second))
    # 4 x 9 of the 39 pairs of neighbours are of one film.
    assert words.startswith("36 of 39 pairs of neighbouring files in different parts look")
    assert f"000{sign}000.png (train) and" in words and f"000{sign}001.png (test)" in words


@pytest.mark.parametrize(("films", "frames"), [(20, 3), (40, 1)])
def test_whole_films_in_a_part_and_photographs(make, films, frames):
    assert alike_neighbours(halves(make(films, frames), lambda i: every_second(i // frames))) == ""
