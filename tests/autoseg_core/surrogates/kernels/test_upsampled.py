"""Upsampling on the way equals upsampling first, in value and gradient, without the full size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import samples
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autoseg_core import AutoSegLoss, LossSpec
from autoseg_core.scores import METRICS
from autoseg_core.surrogates import kernels
from autoseg_core.surrogates.kernels import tiled
from autoseg_core.surrogates.kernels.tables import curve_table
from autoseg_core.surrogates.kernels.upsampled import Bands
from benchmarks.memory import kept_bytes

BACKEND = pytest.mark.parametrize("backend", ["reference", "fused"])
ALIGN = pytest.mark.parametrize("align_corners", [False, True])
REGION = [name for name, row in METRICS.items() if row.region in ("image", "trimap")]
SIZES = pytest.mark.parametrize(
    ("small", "size"),
    [
        ((5, 7), (20, 28)),
        ((5, 7), (13, 17)),
        ((5, 7), (5, 7)),
        ((5, 7), (5, 9)),
        ((5, 7), (6, 8)),
        ((1, 1), (6, 8)),
        ((1, 7), (1, 28)),
        ((33, 9), (65, 17)),
    ],
)


def _batch(
    seed: int,
    small: tuple[int, int] = (5, 7),
    size: tuple[int, int] = (20, 28),
    classes: int = 4,
    sigmoid: bool = False,
) -> tuple[Tensor, Tensor]:
    """Float64 logits (2, C, h, w), and a target of ``size`` with a fifth of it void."""
    rng = np.random.default_rng(seed)
    labels = (2, classes, *size) if sigmoid else (2, *size)
    target = rng.integers(2 if sigmoid else classes, size=labels)
    target[rng.random(labels) < 0.2] = samples.VOID
    logits = rng.normal(scale=2, size=(2, classes, *small))
    return torch.from_numpy(logits), torch.from_numpy(target)


def _loss(metric: str = "mIoU", surface: str = "bezier", **options: Any) -> AutoSegLoss:
    spec = LossSpec(name="sample", terms=(samples.term(metric, surface, tolerance=2),))
    return AutoSegLoss(spec, **options)


def _first(loss: AutoSegLoss, align_corners: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """Interpolate, then the loss: in the precision that the loss works in."""

    def upsampled_first(logits: Tensor, target: Tensor) -> Tensor:
        values = logits if logits.dtype == torch.float64 else logits.float()
        size = target.shape[-2:]
        full = F.interpolate(values, size=size, mode="bilinear", align_corners=align_corners)
        return loss(full, target)

    return upsampled_first


def _evaluated(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return samples.value_and_gradient(loss, logits, target)


def _assert_equal(
    loss: AutoSegLoss, logits: Tensor, target: Tensor, within: float, **options: Any
) -> None:
    plain = AutoSegLoss(loss.spec, activation=loss.activation, per_image=loss.per_image)
    value, gradient = _evaluated(loss, logits, target)
    expected, exact = _evaluated(_first(plain, loss.align_corners), logits, target)
    assert gradient.dtype == logits.dtype and value.dtype == expected.dtype
    torch.testing.assert_close(value, expected, rtol=within, atol=0)
    bound = within * float(exact.abs().max())
    assert bound > 0
    torch.testing.assert_close(gradient, exact, rtol=0, atol=bound)


@BACKEND
@ALIGN
@SIZES
def test_equals_upsampling_first(
    small: tuple[int, int], size: tuple[int, int], align_corners: bool, backend: Any
) -> None:
    loss = _loss(backend=backend, upsample="bilinear", align_corners=align_corners)
    logits, target = _batch(0, small, size)
    _assert_equal(loss, logits, target, 1e-10)
    _assert_equal(loss, logits.float(), target, 1e-5)


@ALIGN
def test_the_compiled_tile(align_corners: bool) -> None:
    """The tile is that of plain logits, which has tests of its own: one curve is enough."""
    loss = _loss(backend="compiled", upsample="bilinear", align_corners=align_corners)
    logits, target = _batch(0)
    _assert_equal(loss, logits.float(), target, 1e-5)


@ALIGN
@pytest.mark.parametrize(("metric", "surface"), samples.TERMS)
def test_every_metric(metric: str, surface: str, align_corners: bool) -> None:
    loss = _loss(metric, surface, upsample="bilinear", align_corners=align_corners)
    _assert_equal(loss, *_batch(1, (5, 7), (18, 30)), 1e-10)


@pytest.mark.parametrize(
    ("activation", "classes"),
    [(a, c) for a in ("softmax", "sigmoid") for c in (1, 2, 21, 171) if (a, c) != ("softmax", 1)],
)
def test_any_number_of_classes(classes: int, activation: Any) -> None:
    pair = _batch(2, classes=classes, sigmoid=activation == "sigmoid")
    loss = _loss("mAcc" if activation == "sigmoid" else "FWIoU", "linear", activation=activation)
    twin = AutoSegLoss(loss.spec, activation=activation, upsample="bilinear", backend="fused")
    _assert_equal(twin, *pair, 1e-10)


def test_one_class_under_sigmoid_may_leave_its_dimension_out() -> None:
    logits, target = _batch(3, classes=1, sigmoid=True)
    loss = _loss(activation="sigmoid", upsample="bilinear")
    assert loss(logits, target[:, 0]) == loss(logits, target)


@BACKEND
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype: torch.dtype, backend: Any) -> None:
    """Bands add up in float32, and the gradient is rounded to the logits' dtype at the end."""
    logits, target = _batch(4, (5, 7), (40, 56), classes=21)
    loss, rounded = _loss(backend=backend, upsample="bilinear"), logits.to(dtype)
    value, gradient = _evaluated(loss, rounded, target)
    expected, exact = _evaluated(_first(loss), rounded.double(), target)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)
    step = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(gradient.double(), exact, rtol=1.01 * step, atol=1e-6)


@ALIGN
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_bands_of_any_height(
    rows: int, align_corners: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The least band has 1024 pixels.
    monkeypatch.setattr(tiled, "TILE", rows * 1024 * 4)
    loss = _loss(backend="fused", upsample="bilinear", align_corners=align_corners)
    _assert_equal(loss, *_batch(5, (4, 300), (11, 1024)), 1e-10)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
    ],
    ids=["channels last", "transposed", "every second channel"],
)
def test_layouts(layout: Any, per_image: bool) -> None:
    logits, target = _batch(6)
    loss = _loss(upsample="bilinear", backend="fused", per_image=per_image)
    _assert_equal(loss, layout(logits), target, 1e-10)


@ALIGN
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_gradcheck(align_corners: bool, activation: Any) -> None:
    logits, target = _batch(7, (2, 3), (5, 7), classes=3, sigmoid=activation == "sigmoid")
    loss = _loss(
        backend="fused", upsample="bilinear", align_corners=align_corners, activation=activation
    )
    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(), target))


def test_gradients_of_control_points() -> None:
    """They are the reference's, which upsamples first, whatever the backend."""
    logits, target = _batch(8)
    loss = _loss(backend="fused", upsample="bilinear")
    points = loss.get_buffer("points_0").requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, target), points)
    (expected,) = torch.autograd.grad(_first(loss)(logits, target), points)
    assert expected.any()
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("images", [0, 2])
def test_all_void_and_empty_batches(images: int) -> None:
    logits, target = _batch(9)
    logits, target = logits[:images], torch.full_like(target[:images], samples.VOID)
    for metric in METRICS:
        value, gradient = _evaluated(_loss(metric, upsample="bilinear"), logits, target)
        assert value == 0 and gradient.shape == logits.shape and not gradient.any()


@BACKEND
@ALIGN
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_changes_nothing_if_all_that_read_it_are_void(
    bad: float, align_corners: bool, backend: Any
) -> None:
    logits, target = _batch(10, (5, 7), (20, 28))
    logits[0, 1, 2, 3] = bad
    full = F.interpolate(logits, (20, 28), mode="bilinear", align_corners=align_corners)
    reached = ~full.isfinite().all(1)
    assert 0 < reached[0].sum() < 200 and not reached[1].any()
    target[reached] = samples.VOID
    loss = _loss(backend=backend, upsample="bilinear", align_corners=align_corners)
    value, gradient = _evaluated(loss, logits, target)
    expected, exact = _evaluated(loss, logits.nan_to_num(0, 0, 0), target)
    assert torch.equal(value, expected) and torch.equal(gradient, exact)
    assert not gradient[0, :, 2, 3].any()


@BACKEND
@pytest.mark.parametrize("row", [0, 7, 11, 19])
@pytest.mark.parametrize("column", [0, 10, 17, 27])
def test_nan_is_not_hidden_from_a_valid_pixel(row: int, column: int, backend: Any) -> None:
    """One pixel alone is not void: the loss is NaN if that pixel reads the NaN, else finite."""
    logits, target = _batch(11)
    logits[0, 1, 2, 3] = torch.nan
    full = F.interpolate(logits, (20, 28), mode="bilinear")
    target = torch.full_like(target, samples.VOID)
    target[0, row, column] = 0
    loss = _loss(backend=backend, upsample="bilinear")
    assert loss(logits, target).isnan() == full[0, 1, row, column].isnan()


@ALIGN
def test_bands_are_bands_of_the_whole(align_corners: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and reach: every pixel that F.interpolate makes NaN, and no other."""
    monkeypatch.setattr(tiled, "TILE", 1)
    logits, _ = _batch(12, (5, 70), (20, 280))
    logits[1, 2, 3, 40] = torch.nan
    labels = torch.zeros(2, 20 * 280, dtype=torch.int16)
    bands = list(Bands(logits, labels, (20, 280), align_corners).tiles())
    assert len(bands) == 2 * 7  # of three rows, the least that a tile holds
    joined = torch.stack([torch.cat([x for i, _, x, _ in bands if i == n], dim=1) for n in (0, 1)])
    full = F.interpolate(logits, (20, 280), mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(joined, full.flatten(2), equal_nan=True)


class _Largest(TorchDispatchMode):
    """Records the most bytes of any tensor that is made while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, tuple | list) else [out]:
            if isinstance(made, Tensor):
                self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return out


def _peak(loss: Any, logits: Tensor, target: Tensor) -> int:
    with _Largest() as largest:
        loss(logits.requires_grad_(), target).backward()
    return largest.bytes


@pytest.mark.parametrize("metric", REGION)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_the_full_size_is_made(metric: str, dtype: torch.dtype) -> None:
    logits, target = _batch(13, (16, 32), (128, 256), classes=64)
    peak = _peak(_loss(metric, upsample="bilinear", backend="fused"), logits.to(dtype), target)
    # A band of 2^17 numbers is the largest, half a megabyte; labels in int64 weigh as much.
    assert peak <= 4 << 17 < 0.04 * (4 * 64 * target.numel())


def test_the_measure_of_memory_sees_what_upsampling_first_makes() -> None:
    logits, target = _batch(13, (16, 32), (64, 64), classes=64)
    assert _peak(_first(_loss(backend="fused")), logits.float(), target) >= 256 * target.numel()


@pytest.mark.parametrize("metric", REGION)
def test_small_logits_and_narrow_labels_are_kept(metric: str) -> None:
    logits, target = _batch(14, (16, 16), (64, 64), classes=21)
    logits = logits.float().requires_grad_()
    loss = _loss(metric, upsample="bilinear", backend="fused")
    # Two bytes a label; the rest are tables and vectors over the classes.
    assert (
        kept_bytes(partial(loss, logits, target)) <= 4 * logits.numel() + 2 * target.numel() + 4096
    )


@ALIGN
def test_the_operation_keeps_torchs_contract(align_corners: bool) -> None:
    """Shapes and strides known without computing, so that torch.compile may look through it."""
    logits, target = _batch(15)
    points = torch.tensor(samples.term("mAcc").control_points, dtype=torch.float64)[0]
    table = curve_table("bezier", points, torch.float64)
    for x in (logits, logits.to(memory_format=torch.channels_last)):
        labels = torch.where(target == samples.VOID, -1, target).to(torch.int16).flatten(1)
        arguments = (x.requires_grad_(), labels, table, None, "softmax", "fused")
        torch.library.opcheck(
            torch.ops.autoseg.region_sums.default,
            (*arguments, [20, 28], align_corners),
            test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
        )


def test_auto_goes_by_the_full_size() -> None:
    logits = torch.empty(1, 16, 16, 16)
    assert kernels.choose(logits) == "fused"
    chosen = kernels.choose(logits, "softmax", (256, 256))
    assert chosen == kernels.choose(torch.empty(1, 16, 256, 256))


LOGITS = torch.zeros(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("options", "logits", "shape", "words"),
    [
        ({}, LOGITS, (2, 8, 10), r"shape \(2, 4, 5\) .* build the loss with upsample='bilinear'"),
        ({"activation": "sigmoid"}, LOGITS, (2, 3, 8, 5), r"shape \(2, 3, 4, 5\) .* upsample="),
        ({}, LOGITS, (2, 8, 4), r"got torch.int64 of shape \(2, 8, 4\)\."),
        ({"upsample": "bilinear"}, LOGITS, (2, 3, 10), r"may also have more rows and columns"),
        ({"upsample": "bilinear"}, LOGITS, (1, 8, 10), r"target of shape \(2, 8, 10\) .* \(1, 8"),
        (
            {"upsample": "bilinear"},
            LOGITS[:, :, :0],
            (2, 8, 10),
            r"one pixel, got .* \(2, 3, 0, 5\)",
        ),
        (
            {"upsample": "bilinear"},
            LOGITS[:, :, None],
            (2, 1, 8, 10),
            r"needs images, .* \(N, C, h, w\), got \(2, 3, 1, 4, 5\); upsample volumes",
        ),
    ],
)
def test_bad_shapes_are_named(options: Any, logits: Tensor, shape: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _loss(**options)(logits, torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"upsample": "nearest"}, r"Unknown upsample 'nearest'; known: None, 'bilinear'"),
        ({"align_corners": True}, r"align_corners=True .* needs upsample='bilinear'"),
    ],
)
def test_bad_choices_are_named(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _loss(**options)


def test_triton_says_that_it_does_not_upsample() -> None:
    with pytest.raises(ValueError, match=r"do not upsample: take backend='auto' or 'fused'"):
        _loss(upsample="bilinear", backend="triton")(*_batch(16))
