"""Lean boundary counts: parity with the readable reference, what they keep, where they run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from autoseg_core import SearchSpace
from autoseg_core.counts import BoundaryCounts
from autoseg_core.metrics.boundaries import near_boundary
from autoseg_core.surfaces import SURFACES, get_surface
from autoseg_core.surfaces.operations import Curve
from autoseg_core.surrogates.boundaries import (
    DIFFERENCE,
    FREE_CURVES,
    XOR_FORMS,
    soft_boundary_counts,
)
from autoseg_core.surrogates.kernels import boundary_maps, boundary_passes
from autoseg_core.surrogates.kernels.boundary import boundary_counts
from benchmarks.memory import kept_bytes

FORMS = pytest.mark.parametrize("names", XOR_FORMS)
EVERY = pytest.mark.parametrize("surface", SURFACES)
Names = tuple[str, ...]


def random_points(names: Names, surface: str, seed: int, pieces: int | None = None) -> Tensor:
    """(G, K, 2) float64."""
    space = SearchSpace("BF1", surface, pieces)
    theta = np.random.default_rng(seed).random(space.dim)
    return torch.from_numpy(space.control_points(theta))[: len(names)]


def readable_counts(
    logits: Tensor, target: Tensor, mask: Tensor, points: Tensor, *settings: Any
) -> BoundaryCounts:
    """The reference with the arguments of the lean form; float64 throughout."""
    surface, tolerance, names = settings
    known = torch.where(mask[:, None], logits.double(), 0.0)
    curves: dict[str, Curve] = {
        name: partial(get_surface(surface).value, curve)
        for name, curve in zip(names, points, strict=True)
    }
    return soft_boundary_counts(known.softmax(1), target, mask, curves, tolerance)


def value_and_gradient(count: Any, logits: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    """Counts (4, C), and the gradient in the logits of their sum with random weights."""
    logits = logits.clone().requires_grad_()
    counts = torch.stack(count(logits, *arguments).tensors())
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(counts.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((counts * weights.to(counts)).sum(), logits)
    return counts.detach(), gradient


def assert_near(value: Tensor, expected: Tensor, tolerance: float) -> None:
    """Equal to ``tolerance`` of the largest magnitude of ``expected``."""
    atol = tolerance * float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(value.double(), expected.double(), rtol=0, atol=atol)


def assert_parity(logits: Tensor, target: Tensor, *settings: Any, tolerance: float) -> None:
    mask = target != samples.VOID
    value, gradient = value_and_gradient(boundary_counts, logits, target, mask, *settings)
    expected, slope = value_and_gradient(readable_counts, logits, target, mask, *settings)
    assert value.dtype == (torch.float64 if logits.dtype == torch.float64 else torch.float32)
    assert gradient.dtype == logits.dtype
    assert_near(value, expected, tolerance)
    assert_near(gradient, slope, max(tolerance, torch.finfo(logits.dtype).eps))


@EVERY
@FORMS
@pytest.mark.parametrize("pieces", [None, 3])
@pytest.mark.parametrize("classes", [2, 3, 21, 171])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
def test_parity(
    names: Names,
    surface: str,
    pieces: int | None,
    classes: int,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    """With void and, beyond four classes, absent ones."""
    if pieces == 3 and dtype == torch.float32:
        tolerance = 5e-5  # short steep pieces: the reference in float32 is as far off
    logits, target = samples.batch(classes, classes, min(classes, 4))
    points = random_points(names, surface, classes, pieces)
    # The points of both are those that the lean form works with.
    points = points.to(dtype).double()
    assert_parity(logits.to(dtype), target, points, surface, 3, names, tolerance=tolerance)


@FORMS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parity_of_half_precision(names: Names, dtype: torch.dtype) -> None:
    logits, target = samples.batch(1, 21, 4)
    points = random_points(names, "bezier", 1)
    assert_parity(logits.to(dtype), target, points, "bezier", 5, names, tolerance=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (2, 7, 1), (3, 13, 17), (1, 2, 2)])
@pytest.mark.parametrize("radius", [0, 1, 20])
@pytest.mark.parametrize("chunk", [1, 500, 2**17])
def test_odd_sizes_radii_and_chunks(
    shape: tuple[int, int, int], radius: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary_passes, "CHUNK_ON_HOST", chunk)
    rng = np.random.default_rng(0)
    target = torch.from_numpy(samples.with_void(rng, samples.label_maps(rng, 3, shape)))
    logits = torch.from_numpy(rng.normal(size=(shape[0], 4, *shape[1:])))
    points = random_points(FREE_CURVES, "bezier", 2)
    assert_parity(logits, target, points, "bezier", radius, FREE_CURVES, tolerance=1e-12)


@FORMS
@pytest.mark.parametrize("seed", range(3))
def test_ties_are_routed_as_by_max_pooling(names: Names, seed: int) -> None:
    """Few distinct pixels: most windows hold their lowest and highest value several times."""
    rng = np.random.default_rng(seed)
    _, target = samples.batch(seed)
    palette = rng.normal(size=(3, 5))
    logits = torch.from_numpy(palette[samples.label_maps(rng, 3)]).movedim(-1, 1)
    points = random_points(names, "bezier", seed)
    assert_parity(logits, target, points, "bezier", 2, names, tolerance=1e-12)


@FORMS
def test_pixels_that_take_no_part_change_nothing(names: Names) -> None:
    logits, target = samples.batch(3)
    mask = target != samples.VOID
    settings = (mask, random_points(names, "linear", 3), "linear", 2, names)
    value, gradient = value_and_gradient(boundary_counts, logits, target, *settings)
    assert not gradient.masked_select(~mask[:, None]).any()
    for other in (float("nan"), float("inf"), 7.0):
        spoiled = torch.where(mask[:, None], logits, other)
        relabelled = torch.where(mask, target, 1)
        same, slope = value_and_gradient(boundary_counts, spoiled, relabelled, *settings)
        assert torch.equal(same, value)
        assert torch.equal(slope, gradient)


@FORMS
@pytest.mark.parametrize("images", [0, 2])
def test_nothing_to_count(names: Names, images: int) -> None:
    """An empty batch, and one of void."""
    target = torch.full((images, 5, 6), samples.VOID)
    settings = (target != samples.VOID, random_points(names, "bezier", 0), "bezier", 5, names)
    logits = torch.full((images, 3, 5, 6), float("nan"))
    value, gradient = value_and_gradient(boundary_counts, logits, target, *settings)
    assert not value.any()
    assert gradient.shape == logits.shape
    assert not gradient.any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_network_is_not_hidden(bad: float) -> None:
    logits, target = samples.batch(4)
    row, column = (target[0] != samples.VOID).nonzero()[0].tolist()
    logits[0, :, row, column] = bad
    points = random_points(FREE_CURVES, "bezier", 4)
    counts = boundary_counts(logits, target, target != samples.VOID, points, "bezier", 5)
    assert not counts.prediction.isfinite().any()


def steep_points(names: Names) -> Tensor:
    """Vertical tangents at both ends, and a jump: a piece of width zero; (G, 7, 2) float64."""
    line = [(0, 0), (0, 0.6), (0.5, 0.7), (0.5, 0.8), (0.5, 0.9), (1, 0.9), (1, 1)]
    return torch.tensor([line] * len(names), dtype=torch.float64)


@FORMS
def test_parity_of_steep_curves(names: Names) -> None:
    """Close to 1 a vertical tangent makes 1e-8 of a rounding."""
    logits, target = samples.batch(5)
    logits = 10 * logits
    assert_parity(logits, target, steep_points(names), "bezier", 2, names, tolerance=1e-7)


@FORMS
@pytest.mark.parametrize("scale", [20.0, 90.0, 1e4])
def test_saturated_logits_and_steep_curves(names: Names, scale: float) -> None:
    points = steep_points(names)
    logits, target = samples.batch(5)
    logits = (logits.sign() * scale).float()
    settings = (target != samples.VOID, points, "bezier", 5, names)
    value, gradient = value_and_gradient(boundary_counts, logits, target, *settings)
    expected, _ = value_and_gradient(readable_counts, logits, target, *settings)
    assert_near(value, expected, 1e-4)  # at a jump one rounding decides
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: torch.cat([x, x], dim=3)[..., : x.shape[3]],
    ],
)
def test_layouts_give_the_same_counts(layout: Any) -> None:
    logits, target = samples.batch(6)
    settings = (target != samples.VOID, random_points(FREE_CURVES, "bezier", 6), "bezier", 5)
    value, gradient = value_and_gradient(boundary_counts, logits, target, *settings)
    same, slope = value_and_gradient(boundary_counts, layout(logits), target, *settings)
    torch.testing.assert_close(same, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, gradient, rtol=1e-12, atol=1e-15)
    turned = (target.mT.contiguous().mT, *settings)
    same, slope = value_and_gradient(boundary_counts, logits, *turned)
    assert torch.equal(same, value)
    assert torch.equal(slope, gradient)


@EVERY
@FORMS
def test_gradcheck(names: Names, surface: str) -> None:
    rng = np.random.default_rng(7)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 4, 5))).requires_grad_()
    target = torch.from_numpy(rng.integers(3, size=(2, 4, 5)))
    target[0, 0, :2] = samples.VOID
    points = random_points(names, surface, 7)

    def count(x: Tensor) -> Tensor:
        mask = target != samples.VOID
        return torch.stack(
            boundary_counts(x, target, mask, points, surface, 1, names).tensors()
        ).sum(0)

    assert torch.autograd.gradcheck(count, (logits,))


def test_equal_input_gives_equal_counts_and_gradients() -> None:
    logits, target = samples.batch(8)
    points = random_points(FREE_CURVES, "bezier", 8)
    settings = (target, target != samples.VOID, points, "bezier", 5)
    runs = [value_and_gradient(boundary_counts, logits.float(), *settings) for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])


@FORMS
def test_points_that_require_a_gradient_get_it(names: Names) -> None:
    logits, target = samples.batch(9)
    mask = target != samples.VOID
    points = random_points(names, "bezier", 9).requires_grad_()
    counts = boundary_counts(logits, target, mask, points, "bezier", 5, names)
    (gradient,) = torch.autograd.grad(counts.prediction.sum(), points)
    assert gradient[:, 1:-1].all()
    fixed = boundary_counts(logits, target, mask, points.detach(), "bezier", 5, names)
    torch.testing.assert_close(torch.stack(counts.tensors()), torch.stack(fixed.tensors()))


@FORMS
def test_gradients_of_gradients(names: Names) -> None:
    rng = np.random.default_rng(10)
    logits = torch.from_numpy(rng.normal(size=(1, 3, 3, 4))).requires_grad_()
    target = torch.from_numpy(rng.integers(3, size=(1, 3, 4)))
    settings = (target < 2, random_points(names, "bezier", 10), "bezier", 1, names)
    counts = torch.stack(boundary_counts(logits, target, *settings).tensors()).sum()
    (plain,) = torch.autograd.grad(counts, logits, retain_graph=True)
    (slope,) = torch.autograd.grad(counts, logits, create_graph=True)
    torch.testing.assert_close(slope, plain, rtol=1e-12, atol=1e-15)

    def count(x: Tensor) -> Tensor:
        return torch.stack(boundary_counts(x, target, *settings).tensors()).sum(0)

    assert torch.autograd.gradgradcheck(count, (logits,))


@pytest.mark.parametrize(
    ("surface", "names", "shape", "words"),
    [
        ("spline", FREE_CURVES, (4, 3, 2), "Unknown surface 'spline'; known surfaces: bezier"),
        ("bezier", ("and", "or"), (2, 3, 2), r"need the curves .* or \(xor\), .* got \('and', 'o"),
        ("bezier", DIFFERENCE, (4, 3, 2), r"shape \(1, K, 2\) for the curves \(xor\), got \(4, 3"),
        ("bezier", FREE_CURVES, (3, 2), r"shape \(4, K, 2\) .* got \(3, 2\)"),
    ],
)
def test_arguments_that_do_not_fit(
    surface: str, names: Names, shape: tuple[int, ...], words: str
) -> None:
    logits, target = samples.batch(11)
    with pytest.raises(ValueError, match=words):
        boundary_counts(logits, target, target < 9, torch.zeros(shape), surface, 5, names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@FORMS
def test_little_more_than_the_logits_is_kept(names: Names, dtype: torch.dtype) -> None:
    """The share does not depend on the size of the image."""
    rng = np.random.default_rng(0)
    target = torch.from_numpy(samples.label_maps(rng, 21, (2, 64, 64)))
    logits = torch.randn(2, 21, 64, 64, dtype=dtype, requires_grad=True)
    points = random_points(names, "bezier", 0)
    arguments = (logits, target, target != samples.VOID, points, "bezier", 5, names)
    logits_bytes = logits.untyped_storage().nbytes()
    assert kept_bytes(lambda: boundary_counts(*arguments).prediction) < 1.3 * logits_bytes
    if dtype == torch.float32:
        assert kept_bytes(lambda: readable_counts(*arguments).prediction) > 10 * logits_bytes


class LargestTensor(TorchDispatchMode):
    """Bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.bytes = max(self.bytes, out.numel() * out.element_size())
        return out


def test_the_trimap_is_made_without_one_map_a_class() -> None:
    target = torch.from_numpy(samples.label_maps(np.random.default_rng(0), 171, (1, 64, 64)))
    with LargestTensor() as largest:
        near_boundary(target, target != samples.VOID, 171, 5)
    assert 0 < largest.bytes <= 8 * target.numel()


def passes(logits: Tensor, target: Tensor, points: Tensor, settings: Any) -> Tensor:
    """Forward and backward without autograd and its operation in between."""
    labels = torch.where(target < 255, target, -1).int()
    sums, peaks = boundary_passes.forward(logits, labels, points, settings)
    return boundary_passes.backward(logits, labels, points, peaks, sums, settings)


def test_no_temporary_is_larger_than_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those as large are its probabilities and their gradient; the others are chunks."""
    monkeypatch.setattr(boundary_passes, "CHUNK_ON_HOST", 2 * 64 * 64)
    target = torch.from_numpy(samples.label_maps(np.random.default_rng(0), 30, (8, 64, 64)))
    logits = torch.randn(8, 30, 64, 64, dtype=torch.float16)
    points = random_points(FREE_CURVES, "bezier", 0)
    with LargestTensor() as largest:
        passes(logits, target, points, boundary_passes.Settings("bezier", FREE_CURVES, 5))
    in_float32 = logits[0].numel() * 4
    result = logits.numel() * 2
    assert largest.bytes == max(in_float32, result)


def test_work_on_all_pixels_gives_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator truth edges are not listed: every pixel is looked at."""
    logits, target = samples.batch(12)
    settings = (target, target != samples.VOID, random_points(FREE_CURVES, "bezier", 0), "bezier")
    value, gradient = value_and_gradient(boundary_counts, logits, *settings, 3)
    monkeypatch.setattr(boundary_maps, "_pixels", lambda chosen: torch.arange(chosen.numel()))
    monkeypatch.setattr(boundary_passes, "CHUNK_ON_HOST", 600)
    same, slope = value_and_gradient(boundary_counts, logits, *settings, 3)
    torch.testing.assert_close(same, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, gradient, rtol=1e-12, atol=1e-15)


@EVERY
@FORMS
def test_no_host_sync_on_fake_cuda_tensors(names: Names, surface: str) -> None:
    points = random_points(names, surface, 0)
    with FakeTensorMode() as mode, torch.no_grad():
        logits = torch.empty(2, 5, 14, 18, device="cuda", dtype=torch.float16)
        target = torch.empty(2, 14, 18, device="cuda", dtype=torch.int64)
        on_device = mode.from_tensor(points).to("cuda")
        settings = boundary_passes.Settings(surface, names, 5)
        gradient = passes(logits, target, on_device, settings)
    assert gradient.device.type == "cuda"
    assert gradient.shape == logits.shape
    assert gradient.dtype == torch.float16


@FORMS
def test_the_operation_keeps_the_rules_of_custom_operations(names: Names) -> None:
    logits, target = samples.batch(14)
    labels = torch.where(target == samples.VOID, -1, target).int()
    points = random_points(names, "bezier", 14)
    arguments = (logits.requires_grad_(), labels, points, "bezier", 5, ",".join(names))
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.autoseg.boundary_sums, arguments, test_utils=checks)


def test_points_on_another_device_are_named() -> None:
    logits, target = samples.batch(15)
    points = random_points(FREE_CURVES, "bezier", 15).to("meta")
    words = r"points are on device meta, the logits on cpu: move the loss, loss.to\('cpu'\)"
    with pytest.raises(RuntimeError, match=words):
        boundary_counts(logits, target, target < 255, points, "bezier", 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@FORMS
def test_parity_on_a_gpu(names: Names) -> None:
    logits, target = samples.batch(13, 21, 4)
    points = random_points(names, "bezier", 13)
    settings = ("bezier", 5, names)
    expected, slope = value_and_gradient(
        boundary_counts, logits, target, target < 21, points, *settings
    )
    device = (logits.cuda(), target.cuda(), target.cuda() < 21, points.cuda())
    value, gradient = value_and_gradient(
        lambda *arguments: boundary_counts(*arguments), *device, *settings
    )
    assert_near(value.cpu(), expected, 1e-12)
    assert_near(gradient.cpu(), slope, 1e-12)
