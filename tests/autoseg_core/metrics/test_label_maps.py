"""Counts of label maps: the C++ kernels and plain PyTorch, the integers of the one-hot twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import references
import samples
import torch

from autoseg_core import native
from autoseg_core.metrics import label_maps
from autoseg_core.metrics.label_maps import FAR, Rules, label_counts, plain_counts
from autoseg_core.scores import BoundaryBand

Array = np.ndarray[Any, Any]
REGIONS = ["image", "trimap", "boundary"]
RULES = Rules(5, (255,), tolerance=3, edges_see_void=False, drop_background=False)
TYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
WRONG = [  # of five classes
    (dtype, label)
    for dtype in TYPES
    for label in (-1, 5, 2**16, 2**63 - 1)
    if torch.iinfo(dtype).min <= label <= torch.iinfo(dtype).max
]
needs_kernels = pytest.mark.skipif(not native.CPU, reason="the C++ kernels are not built")


def example(
    classes: int, noise: bool = False, shape: tuple[int, int, int] = (2, 14, 18), void: int = 255
) -> tuple[Array, Array]:
    """Prediction and target with void: areas, or noise in which every pixel is an edge."""
    rng = np.random.default_rng(classes)
    if noise:
        prediction, target = rng.integers(classes, size=(2, *shape))
    else:
        target = samples.label_maps(rng, classes, shape)
        other = samples.label_maps(rng, classes, shape)
        prediction = np.where(rng.random(shape) < 0.7, target, other)
    return prediction, samples.with_void(rng, target, void)


def integers(count: Any, maps: Any, rules: Rules, regions: Any = REGIONS) -> dict[Any, Any]:
    found = count(*maps, regions, rules)
    assert list(found) == list(regions)
    return {region: [t.tolist() for t in counts.tensors()] for region, counts in found.items()}


def assert_equal(maps: Any, rules: Rules) -> None:
    """The kernels and PyTorch count alike."""
    assert integers(label_counts, maps, rules) == integers(plain_counts, maps, rules)


@pytest.mark.parametrize("count", [plain_counts, label_counts])
@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("classes", [1, 63, 300])
def test_counts_equal_their_twins(count: Any, paper: bool, noise: bool, classes: int) -> None:
    prediction, target = example(classes, noise, void=-1)
    rules = Rules(classes, (-1,), 3, edges_see_void=paper, drop_background=paper)
    valid = target >= 0
    seen = np.ones_like(valid) if paper else valid
    truth = references.one_hot(target, classes)
    guess = references.one_hot(prediction, classes) * seen[:, None]
    masks, options = {"valid": valid, "seen": seen}, {"tolerance": 3, "drop_background": paper}
    image, trimap, boundary = (
        references.count(m, truth, guess, masks, **options) for m in ("mIoU", "BIoU", "BF1")
    )
    found = integers(count, map(torch.from_numpy, (prediction, target)), rules)
    for region, twin in (("image", image), ("trimap", trimap)):
        assert found[region][:3] == [twin[key].tolist() for key in "TIU"]
        assert set(found[region][3]) == {twin["T"].sum()}
    assert found["boundary"] == [boundary[key].tolist() for key in ("T", "TM", "P", "PM")]


@needs_kernels
@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [((3, 97, 13), FAR), ((1, 200, 70), 5), ((1, 1, 300), 5), ((2, 200, 1), 0), ((1, 1, 1), 5)],
)
@pytest.mark.parametrize(("edges_see_void", "drop_background"), [(False, True), (True, False)])
def test_kernels_count_like_pytorch(
    shape: tuple[int, int, int], tolerance: int, edges_see_void: bool, drop_background: bool
) -> None:
    rules = Rules(5, (255,), tolerance, edges_see_void, drop_background)
    assert_equal([torch.from_numpy(x) for x in example(5, shape=shape)], rules)


@needs_kernels
@pytest.mark.parametrize("guess", TYPES[:3])
@pytest.mark.parametrize("truth", TYPES[2:])
@pytest.mark.parametrize("classes", [100, 300])
def test_all_integer_types(guess: torch.dtype, truth: torch.dtype, classes: int) -> None:
    void = 127 if truth != torch.int16 else -1
    prediction, target = (torch.from_numpy(x) for x in example(99, void=void))
    rules = replace(RULES, num_classes=classes, void=(void,))
    assert_equal([prediction.to(guess), target.to(truth)], rules)
    strided = prediction.to(guess).repeat_interleave(2, 2)[:, ::2, ::2]
    assert_equal([strided, target.to(truth)[:, ::2]], rules)


@pytest.mark.parametrize(("dtype", "wrong"), WRONG)
@pytest.mark.parametrize("which", ["prediction", "target"])
def test_labels_outside_the_classes_are_named(dtype: torch.dtype, which: str, wrong: int) -> None:
    maps = {name: torch.zeros(1, 3, 4, dtype=dtype) for name in ("prediction", "target")}
    maps[which][0, 1, 2] = wrong
    for rules in (replace(RULES, void=(4,)), replace(RULES, void=(4,), edges_see_void=True)):
        with pytest.raises(ValueError, match=rf"{which}.* holds labels \[{wrong}\] outside"):
            label_counts(*maps.values(), REGIONS, rules)


@needs_kernels
def test_what_the_kernels_do_not_do_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [torch.from_numpy(x) for x in example(5, shape=(1, 4, 2 * FAR))]
    band: Any = BoundaryBand(radius=2)
    expected = integers(plain_counts, maps, RULES, ["image", band])
    assert integers(label_counts, maps, RULES, ["image", band]) == expected
    far = replace(RULES, tolerance=FAR + 1)
    expected = integers(plain_counts, maps, far)
    monkeypatch.delattr(label_maps, "_kernel_counts")
    assert integers(label_counts, maps, far) == expected
