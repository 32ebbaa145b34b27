"""Every backend equals the reference, in value and gradient.

The reference runs in float64 (its slope is unbounded where a curve is vertical, which float32
cannot follow), so the bound is on what float32 costs, not on a second implementation's luck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import AutoSegLoss, LossSpec, SearchSpace
from autoseg_core.scores import METRICS
from autoseg_core.spec import LossTerm
from autoseg_core.surfaces import SURFACES
from autoseg_core.surrogates import kernels
from autoseg_core.surrogates.regions import soft_region_counts
from benchmarks.memory import kept_bytes

REGION = [name for name, row in METRICS.items() if row.region != "boundary"]
EVERY = pytest.mark.parametrize(
    ("metric", "surface"), [(metric, surface) for metric in REGION for surface in SURFACES]
)
BACKEND = pytest.mark.parametrize("backend", ["fused", "compiled"])


def _batch(seed: int, classes: int, shape: tuple[int, ...] = (2, 13, 17)) -> tuple[Tensor, Tensor]:
    """Logits (N, C, ...) in float32, NaN where void, and a target without the last class."""
    rng = np.random.default_rng(seed)
    target = rng.integers(max(1, classes - 1), size=shape)
    target[rng.random(shape) < 0.2] = samples.VOID
    logits = rng.normal(scale=3, size=(shape[0], classes, *shape[1:])).astype(np.float32)
    logits = np.where((target == samples.VOID)[:, None], np.nan, logits)
    return torch.from_numpy(logits), torch.from_numpy(target)


def _term(metric: str, surface: str, seed: int) -> LossTerm:
    """A random term, with points away from vertical tangents."""
    space = SearchSpace(metric, surface)
    theta = np.random.default_rng(seed).uniform(0.1, 0.9, space.dim)
    return LossTerm.from_theta(space, theta, tolerance=2)


def _evaluated(
    term: LossTerm, logits: Tensor, target: Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    loss = AutoSegLoss(LossSpec(name="sample", terms=(term,)), **options)
    value, gradient = samples.value_and_gradient(loss, logits, target)
    return value.double(), gradient.double()


def _assert_parity(
    term: LossTerm, logits: Tensor, target: Tensor, within: float = 1e-5, **options: Any
) -> None:
    value, gradient = _evaluated(term, logits, target, **options)
    options["backend"] = "reference"
    expected, exact = _evaluated(term, logits.double(), target, **options)
    torch.testing.assert_close(value, expected, rtol=within, atol=0)
    largest = float(exact.abs().max())
    assert largest > 0
    # A steep piece magnifies the rounding of p itself: then nobody's float32 is closer.
    rounding = float((_evaluated(term, logits, target, **options)[1] - exact).abs().max())
    bound = max(within * largest, 1.5 * rounding)
    torch.testing.assert_close(gradient, exact, rtol=0, atol=bound)


@BACKEND
@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_random_curves(metric: str, surface: str, seed: int, backend: str) -> None:
    _assert_parity(_term(metric, surface, seed), *_batch(seed, 5), backend=backend)


@BACKEND
@pytest.mark.parametrize("classes", [2, 3, 19, 21, 150, 171])
def test_any_number_of_classes(classes: int, backend: str) -> None:
    _assert_parity(_term("mIoU", "bezier", classes), *_batch(1, classes), backend=backend)


@BACKEND
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_have_float32_sums(dtype: torch.dtype, backend: str) -> None:
    logits, target = _batch(2, 21)
    term = _term("mIoU", "bezier", 2)
    rounded = logits.to(dtype)
    value, gradient = _evaluated(term, rounded, target, backend=backend)
    expected, reference = _evaluated(term, rounded.double(), target, backend="reference")
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    step = torch.finfo(dtype).eps  # of the gradient, which has the dtype of the logits
    torch.testing.assert_close(gradient, reference, rtol=step, atol=1e-6)


@BACKEND
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
        lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
    ],
    ids=["channels last", "transposed", "every second channel", "every second column"],
)
def test_layouts(layout: Any, backend: str) -> None:
    logits, target = _batch(3, 7)
    _assert_parity(_term("mIoU", "bezier", 3), layout(logits), target, backend=backend)


@BACKEND
@pytest.mark.parametrize("pixels", [1, 1023, 1024, 1025, 2500])
def test_tiles_of_every_length(pixels: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.tiled, "TILE", 1)  # so tiles have their least length, 1024
    logits, target = _batch(4, 3, (2, 1, pixels))
    target[0, 0, 0] = 0
    _assert_parity(_term("mIoU", "bezier", 4), logits.nan_to_num(), target, backend=backend)


@BACKEND
def test_volumes(backend: str) -> None:
    logits, target = _batch(5, 4, (2, 3, 5, 7))
    _assert_parity(_term("FWIoU", "linear", 5), logits, target, backend=backend)


@BACKEND
@pytest.mark.parametrize("classes", [1, 4])
def test_classes_that_do_not_exclude_each_other(classes: int, backend: str) -> None:
    rng = np.random.default_rng(6)
    target = rng.integers(2, size=(2, classes, 13, 17))
    target[rng.random(target.shape) < 0.2] = samples.VOID
    logits = np.where(target == samples.VOID, np.nan, rng.normal(size=target.shape))
    pair = torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(target)
    term = _term("mIoU", "bezier", 6)
    _assert_parity(term, *pair, backend=backend, activation="sigmoid")


@BACKEND
def test_all_void_and_saturated_logits_have_finite_gradients(backend: str) -> None:
    logits, target = _batch(7, 5)
    loss = AutoSegLoss(
        LossSpec(name="sample", terms=(_term("mIoU", "bezier", 7),)), backend=backend
    )
    value, gradient = samples.value_and_gradient(loss, logits, torch.full_like(target, 255))
    assert value == 0 and not gradient.any()
    sure = logits.nan_to_num() * 1e4
    value, gradient = samples.value_and_gradient(loss, sure, target)
    assert value.isfinite() and gradient.isfinite().all()


@BACKEND
def test_nan_in_a_valid_pixel_is_not_hidden(backend: str) -> None:
    logits, target = torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    logits[0, 0, 0, 0] = torch.nan
    loss = AutoSegLoss(
        LossSpec(name="sample", terms=(_term("mIoU", "bezier", 8),)), backend=backend
    )
    assert loss(logits, target).isnan()


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_vertical_tangents_and_pieces_of_width_zero(surface: str, corner: float) -> None:
    """Where float64 has another slope, float32's own reference is what a backend must equal."""
    space = SearchSpace("mIoU", surface)
    theta = np.where(np.arange(space.dim) % 2 == 0, corner, 0.5)
    term = LossTerm.from_theta(space, theta)
    logits, target = _batch(9, 5)
    value, gradient = _evaluated(term, logits, target, backend="fused")
    expected, reference = _evaluated(term, logits, target, backend="reference")
    assert gradient.isfinite().all()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)


@BACKEND
@pytest.mark.parametrize("name", ["vertical at 0", "vertical at 1"])
def test_sure_predictions_have_one_slope_below_the_floor_of_the_root(
    name: str, backend: str
) -> None:
    logits, target = _batch(9, 5)
    labels = torch.where(target == samples.VOID, -1, target).flatten(1)
    points = torch.tensor([samples.EXTREME[name]] * 2, dtype=torch.float64)
    x = (logits.nan_to_num() * 40).flatten(2)
    _, gradient = _sums(x, labels, points, "bezier", backend)
    _, reference = _sums(x, labels, points, "bezier", "reference")
    assert float((gradient - reference).norm() / reference.norm()) < 1e-5


@BACKEND
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", samples.EXTREME)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_extreme_curves(name: str, surface: str, scale: float, backend: str) -> None:
    """With logits so large that probabilities are 0 and 1, too."""
    logits, labels = _batch(9, 5)
    labels = torch.where(labels == samples.VOID, -1, labels).flatten(1)
    points = torch.tensor([samples.EXTREME[name]] * 2, dtype=torch.float64)
    x = (logits.nan_to_num() * scale).flatten(2)
    sums, gradient = _sums(x, labels, points, surface, backend)
    expected, reference = _sums(x, labels, points, surface, "reference")
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)


def _sums(x: Tensor, labels: Tensor, points: Tensor, surface: str, backend: Any) -> Any:
    x = x.clone().requires_grad_()
    counts = soft_region_counts(x, labels, points, surface, backend=backend)
    sums = torch.stack([counts.intersection, counts.union])
    return sums, torch.autograd.grad(sums.sum(), x)[0]


@BACKEND
def test_slopes_of_the_narrowest_pieces_stay_finite(backend: str) -> None:
    curve = [(0, 0), (0, 0.5), (1e-37, 0.5), (0.5, 0.7), (1, 1)]
    logits, labels = torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.int64)
    logits[:, 0] = 1e4
    points = torch.tensor([curve] * 2, dtype=torch.float64)
    assert _sums(logits, labels, points, "bezier", backend)[1].isfinite().all()


def test_a_layout_compiles_no_tile_anew() -> None:
    logits, target = torch.randn(2, 5, 40, 40), torch.randint(5, (2, 40, 40))
    spec = LossSpec(name="sample", terms=(_term("mIoU", "bezier", 11),))
    loss = AutoSegLoss(spec, backend="compiled")
    loss(logits.clone().requires_grad_(), target).backward()
    with torch._dynamo.config.patch(error_on_recompile=True):
        layouts = (
            logits.to(memory_format=torch.channels_last),
            logits.repeat_interleave(2, dim=1)[:, ::2],
            logits.bfloat16(),
            logits.mT.contiguous().mT,
        )
        values = [loss(x.requires_grad_(), target) for x in layouts]
        torch.stack(values).sum().backward()


def test_equal_calls_give_equal_numbers() -> None:
    logits, target = _batch(10, 21, (2, 64, 64))
    term = _term("mIoU", "bezier", 10)
    first, again = (_evaluated(term, logits, target, backend="fused") for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


@BACKEND
@pytest.mark.parametrize("metric", [*REGION, "BoundaryIoU(radius=3)"])
def test_hardly_more_than_the_logits_is_kept(metric: str, backend: str) -> None:
    logits, target = _batch(11, 21, (2, 64, 64))
    loss = AutoSegLoss(
        LossSpec(name="sample", terms=(_term(metric, "bezier", 11),)), backend=backend
    )
    logits = logits.nan_to_num().requires_grad_()
    share = 1.1 if metric in REGION else 1.2  # bands keep the target and the mask as they are
    assert (
        kept_bytes(lambda: loss(logits, target)) <= share * logits.numel() * logits.element_size()
    )


def test_without_a_compiler_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no g++\nhere")

    monkeypatch.setattr(kernels.tiled, "_compiled", broken)
    kernels.tiled.can_compile.cache_clear()
    large = torch.empty(1, 16, 256, 256, device="cpu")
    assert [kernels.choose(large), kernels.choose(large)] == ["fused", "fused"]
    assert caplog.text.count("torch.compile does not work here") == 1
    assert "OSError: no g++\n" in caplog.text
    kernels.tiled.can_compile.cache_clear()


def test_auto_depends_on_the_shape_alone() -> None:
    small, large = torch.empty(1, 2, 8, 8), torch.empty(1, 16, 256, 256)
    assert kernels.choose(small) == kernels.choose(large.double()) == "fused"
    assert kernels.choose(large) == ("compiled" if kernels.tiled.can_compile() else "fused")


def test_curves_of_any_number_of_pieces_are_compiled() -> None:
    """More than the eight variants that torch.compile makes of one function."""
    logits, target = torch.zeros(1, 2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for pieces in range(2, 12):
            space = SearchSpace("mAcc", "linear", pieces)
            term = LossTerm.from_theta(space, space.identity())
            loss = AutoSegLoss(LossSpec(name="sample", terms=(term,)), backend="compiled")
            assert loss(logits, target) == 0.5


def test_bands_computed_again_have_the_gradient_of_the_reference() -> None:
    logits, target = _batch(12, 5)
    _assert_parity(_term("BoundaryIoU(radius=2)", "bezier", 12), logits, target)
