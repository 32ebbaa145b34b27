"""The C++ kernels equal the readable reference, in value and gradient.

The reference runs in float64 (its slope is unbounded where a curve is vertical, which float32
cannot follow), so the bound is on what float32 costs, not on a second implementation's luck.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import SearchSpace, native
from autoseg_core.spec import LossTerm
from autoseg_core.surrogates.inputs import LABELS

pytestmark = pytest.mark.skipif(not native.CPU, reason="needs the C++ kernels")

ONE_OF_EACH = pytest.mark.parametrize(
    "metric", ["mIoU", "BIoU", "BF1", "BF1_difference", "BoundaryIoU(radius=2)"]
)
COUNTED = pytest.mark.parametrize(("metric", "surface"), samples.COUNTED)


def assert_parity(
    term: LossTerm, logits: Tensor, target: Tensor, within: float = 1e-5, **options: Any
) -> Tensor:
    """Returns the exact gradient."""
    value, gradient = samples.value_and_gradient(
        samples.loss_of(term, backend="native", **options), logits, target
    )
    reference = samples.loss_of(term, backend="reference", **options)
    expected, exact = samples.value_and_gradient(reference, logits.double(), target)
    assert value.dtype == (torch.float64 if logits.dtype == torch.float64 else torch.float32)
    assert gradient.dtype == logits.dtype and gradient.shape == logits.shape
    torch.testing.assert_close(value.double(), expected, rtol=within, atol=within * 1e-2)
    bound = max(within, torch.finfo(logits.dtype).eps) * float(exact.abs().max())
    torch.testing.assert_close(gradient.double(), exact, rtol=0, atol=bound)
    return exact


@COUNTED
@pytest.mark.parametrize("void_edges", [False, True])
def test_every_metric(metric: str, surface: str, void_edges: bool) -> None:
    term = samples.term(metric, surface, tolerance=2, void_edges=void_edges)
    logits, target = samples.batch(0)
    assert assert_parity(term, logits, target, within=1e-10).any()


@COUNTED
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_single_and_half_precision(metric: str, surface: str, dtype: torch.dtype) -> None:
    # Away from vertical tangents, which magnify the rounding of p itself.
    space = SearchSpace(metric, surface)
    theta = np.random.default_rng(1).uniform(0.1, 0.9, space.dim)
    logits, target = samples.batch(1)
    assert_parity(samples.term_at(space, theta, tolerance=2), logits.to(dtype), target)


@pytest.mark.parametrize("metric", ["mIoU", "mAcc", "mSpecificity"])
@pytest.mark.parametrize("depth", [(), (3,)], ids=["images", "volumes"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_volumes_and_classes_that_do_not_exclude_each_other(
    metric: str, depth: tuple[int, ...], activation: Any
) -> None:
    rng = np.random.default_rng(3)
    many = activation == "sigmoid"
    target = rng.integers(2 if many else 4, size=(2, *((5,) if many else ()), *depth, 7, 9))
    target[rng.random(target.shape) < 0.2] = samples.VOID
    logits = torch.from_numpy(rng.normal(size=(2, 5, *depth, 7, 9)))
    given = (samples.term(metric), logits, torch.from_numpy(target))
    assert_parity(*given, within=1e-10, activation=activation)


@ONE_OF_EACH
@pytest.mark.parametrize("classes", [2, 256])
def test_any_number_of_classes(metric: str, classes: int) -> None:
    logits, target = samples.batch(2, classes, min(classes, 4))
    assert_parity(samples.term(metric, seed=2), logits, target, within=1e-9)


@ONE_OF_EACH
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
        lambda x: x.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)[:, :1].expand_as(x),
    ],
    ids=["channels last", "transposed", "every second channel", "expanded"],
)
def test_layouts(metric: str, layout: Callable[[Tensor], Tensor]) -> None:
    logits, target = samples.batch(5)
    assert_parity(samples.term(metric), layout(logits), target, within=1e-10)
    assert_parity(samples.term(metric), logits, target.mT.contiguous().mT, within=1e-10)


@ONE_OF_EACH
@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [((1, 7), 0), ((9, 1), 20), ((3, 1030), 20)],
)
def test_odd_sizes_and_tolerances(metric: str, shape: tuple[int, int], tolerance: int) -> None:
    rng = np.random.default_rng(6)
    target = torch.from_numpy(rng.integers(3, size=(2, *shape)))
    logits = torch.from_numpy(rng.normal(size=(2, 4, *shape)))
    assert_parity(samples.term(metric, tolerance=tolerance), logits, target, within=1e-9)


@pytest.mark.parametrize(
    ("shape", "tolerance", "void_edges"), [((210, 40), 97, False), ((40, 210), 1000, True)]
)
def test_a_trimap_as_wide_as_strips_and_images(
    shape: tuple[int, int], tolerance: int, void_edges: bool
) -> None:
    """Strips are 96 rows; one edge in a corner shows how far the trimap reaches."""
    target = torch.zeros(1, *shape, dtype=torch.int64)
    target[0, :3, :2] = 1
    target[0, -1, -1] = samples.VOID
    rng = np.random.default_rng(6)
    logits = torch.from_numpy(rng.normal(size=(1, 3, *shape)))
    term = samples.term("BIoU", tolerance=tolerance, void_edges=void_edges)
    assert_parity(term, logits, target, within=1e-9)


@pytest.mark.parametrize("name", samples.EXTREME)
@pytest.mark.parametrize(("surface", "scale"), [("bezier", 1.0), ("linear", 1e4)])
@pytest.mark.parametrize("metric", ["mIoU", "BF1"])
def test_extreme_curves(metric: str, name: str, surface: str, scale: float) -> None:
    """Walls of the search space and beyond, with probabilities of 0 and 1 too."""
    term = samples.extreme_term(metric, surface, name)
    logits, target = samples.batch(9)
    pair = ((scale * logits).float(), target)
    value, gradient = samples.value_and_gradient(samples.loss_of(term, backend="native"), *pair)
    expected, slope = samples.value_and_gradient(samples.loss_of(term, backend="reference"), *pair)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)
    assert gradient.isfinite().all()
    bound = 1e-3 * float(slope.abs().max()) + 1e-7
    torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=bound)


@pytest.mark.parametrize("metric", ["BF1", "BF1_difference", "BoundaryIoU(radius=2)"])
def test_ties_are_routed_as_by_max_pooling(metric: str) -> None:
    """Few distinct pixels: most windows hold their lowest and highest value several times."""
    rng = np.random.default_rng(0)
    _, target = samples.batch(0)
    logits = torch.from_numpy(rng.normal(size=(3, 5))[samples.label_maps(rng, 3)]).movedim(-1, 1)
    assert_parity(samples.term(metric, tolerance=2), logits, target, within=1e-9)


@ONE_OF_EACH
def test_classes_ruled_out_by_minus_infinity(metric: str) -> None:
    logits, target = samples.batch(12)
    logits[:, 4] = -torch.inf
    kernel, reference = (
        samples.value_and_gradient(samples.loss_of(samples.term(metric), backend=b), logits, target)
        for b in ("native", "reference")
    )
    torch.testing.assert_close(kernel[0], reference[0], rtol=1e-9, atol=0)
    known = reference[1].isfinite()
    torch.testing.assert_close(kernel[1][known], reference[1][known], rtol=1e-6, atol=1e-12)
    assert known[:, :4].all()


@ONE_OF_EACH
@pytest.mark.parametrize("dtype", LABELS[1:])
def test_labels_of_any_integer_type(metric: str, dtype: torch.dtype) -> None:
    logits, target = samples.batch(5)
    target[target == samples.VOID], loss = 7, samples.loss_of(samples.term(metric), ignore_index=7)
    found = samples.value_and_gradient(loss, logits, target.to(dtype))
    expected = samples.value_and_gradient(loss, logits, target)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@ONE_OF_EACH
@pytest.mark.parametrize("void", [300, [-1, 255]], ids=str)
def test_void_labels_that_the_labels_type_cannot_hold(metric: str, void: Any) -> None:
    logits, target = samples.batch(17, 60)
    given = [*void] if isinstance(void, list) else [void]
    target = target.masked_fill(target == samples.VOID, 255 if 255 in given else 44).byte()
    term = samples.term(metric)
    kernel, plain = (
        samples.value_and_gradient(
            samples.loss_of(term, ignore_index=void, backend=b), logits, target
        )
        for b in ("native", "reference")
    )
    torch.testing.assert_close(kernel, plain, rtol=1e-9, atol=1e-12)
