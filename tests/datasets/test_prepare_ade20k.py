"""datasets/prepare_ade20k.py on a small tree of the challenge's layout."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from trees import ADE20K, make_ade20k

FIRST = f"training/{ADE20K['training'][0]}"


@pytest.fixture
def ade(tmp_path):
    return make_ade20k(tmp_path)


@pytest.fixture
def run(ade, prepare):
    return lambda *arguments: prepare("prepare_ade20k", ade.parent, *arguments)


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("bits", [np.uint8, np.uint16])
def test_classes_begin_at_0_and_other_is_255(ade, run, bits):
    path = ade / f"annotations/{FIRST}.png"
    Image.fromarray(read(path).astype(bits)).save(path)
    done = run()
    assert (done.status, done.err) == (0, "")
    assert "training: 2 written, 0 right already" in done.out
    for split, names in ADE20K.items():
        for name in names:
            source = read(ade / "annotations" / split / f"{name}.png").astype(int)
            made = read(ade / "annotations_detectron2" / split / f"{name}.png")
            assert made.dtype == np.uint8
            np.testing.assert_array_equal(made, np.where(source == 0, 255, source - 1))


@pytest.mark.parametrize("kind", [f"images/{FIRST}.jpg", f"annotations/{FIRST}.png"])
def test_what_is_missing_is_named(ade, run, kind):
    (ade / kind).unlink()
    done = run()
    assert done.status == 1 and ADE20K["training"][0] in done.err


@pytest.mark.parametrize(("value", "bits"), [(152, np.uint8), (256, np.uint16)])
def test_values_above_the_classes_are_refused(ade, run, value, bits):
    Image.fromarray(np.full((32, 48), value, bits)).save(ade / f"annotations/{FIRST}.png")
    done = run()
    assert done.status == 1 and f"{FIRST}.png: label values {value}" in done.err
    assert not (ade / f"annotations_detectron2/{FIRST}.png").exists()
