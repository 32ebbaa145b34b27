"""Triton kernels against the reference, in value and gradient.

N: images; C: classes; H, W: pixels; h, w: of logits yet to be upsampled; K: points of a curve.
Without a GPU the kernels run in Triton's interpreter. It must be chosen before Triton is imported,
and no other test shall be affected: so it runs in a process of its own, which the tests ask. The
interpreter checks no types: see test_triton_compile.py.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import SearchSpace, native
from autoseg_core.native import triton as kernels
from autoseg_core.native import triton_launch
from autoseg_core.native.tables import curve_tables
from autoseg_core.surrogates.batch import Batch
from autoseg_core.surrogates.counting import soft_counts

Run = Callable[..., Any]
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# Few programs, so that tiny images have more tiles than programs.
FEW_PROGRAMS = "import autoseg_core.native.triton_launch as t\nt.MAX_WARPS = 6"


@pytest.fixture(scope="module")
def interpreter() -> Iterator[ProcessPoolExecutor]:
    """A process in which Triton interprets its kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, initializer=exec, initargs=(FEW_PROGRAMS,)) as pool:
            pool.submit(int).result()  # the process starts now, with this environment
            patch.undo()
            yield pool


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=needs_cuda)])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call a function of the module under test on tensors of the host."""
    if request.param == "interpreter":
        pool = request.getfixturevalue("interpreter")
        return lambda function, *arguments: pool.submit(function, *arguments).result()
    monkeypatch.setattr(triton_launch, "MAX_WARPS", 6)
    return lambda function, *arguments: function(*map(_on_cuda, arguments)).cpu()


def _on_cuda(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_on_cuda(item) for item in argument]
    return argument.cuda() if isinstance(argument, Tensor) else argument


def _points(surface: str, seed: int, pieces: int = 2) -> Tensor:
    """Points (2, K, 2) of random curves; about half of the coordinates lie on the walls."""
    space = SearchSpace("mIoU", surface, pieces)
    rng = np.random.default_rng(seed)
    theta = np.where(rng.random(space.dim) < 0.5, rng.random(space.dim), rng.integers(2))
    return torch.from_numpy(np.stack(space.control_points(theta)))


def _batch(
    seed: int,
    classes: int,
    shape: tuple[int, int, int] = (2, 5, 7),
    small: tuple[int, int] | None = None,
    sigmoid: bool = False,
) -> Batch:
    """Float32 logits, NaN where masked; int64 labels without the last class, of which some void."""
    generator = torch.Generator().manual_seed(seed)
    labels = (shape[0], classes, *shape[1:]) if sigmoid else shape
    kinds = 2 if sigmoid else max(1, classes - 1)
    target = torch.randint(kinds, labels, generator=generator)
    target[torch.rand(labels, generator=generator) < 0.2] = samples.VOID
    target[0, ..., 0, 0] = samples.VOID
    logits = torch.randn(shape[0], classes, *(small or shape[1:]), generator=generator) * 3
    if small is None:
        void = target == samples.VOID
        logits = torch.where(void if sigmoid else void[:, None], torch.nan, logits)
    return Batch(logits, target, samples.VOID, "sigmoid" if sigmoid else "softmax")


def _upstream(classes: int) -> Tensor:
    return torch.randn(4, classes, generator=torch.Generator().manual_seed(9))


def _reference(
    batch: Batch, points: Tensor, surface: str, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Sums (4, C) and gradient of the reference, in the given precision."""
    logits = batch.logits.to(dtype).requires_grad_()
    term = samples.term("mIoU" if len(points) == 2 else "mAcc", surface)
    counts = soft_counts(term, points, replace(batch, logits=logits), "reference")
    parts = (counts.intersection, counts.union - counts.target, counts.target, counts.pixels)
    sums = torch.stack(parts)
    weights = _upstream(logits.shape[1]).to(dtype)
    (gradient,) = torch.autograd.grad((sums * weights).sum(), logits)
    return sums.detach().double(), gradient.double()


def _computed(run: Run, batch: Batch, points: Tensor, surface: str) -> tuple[Tensor, Tensor]:
    """The same by the kernels."""
    tables = [*curve_tables(surface, points, torch.float32)]
    given = (batch.logits, batch.target, tables, batch.ignore_index, batch.align_corners)
    sums = run(kernels.region_sums, *given)
    gradient = run(kernels.region_sums_backward, _upstream(batch.logits.shape[1]), *given)
    assert sums.dtype == torch.float32
    assert gradient.dtype == batch.logits.dtype
    return sums.double(), gradient.double()


def _assert_parity(run: Run, batch: Batch, points: Tensor, surface: str = "bezier") -> None:
    """Within 1e-5 of the largest entry; where float32 itself is worse, within four times that.

    Worse it is next to a vertical tangent or a jump at p = 1: float32 has no numbers between
    1 - 6e-8 and 1, and a floor of y at 1.2e-7.
    """
    exact = _reference(batch, points, surface)
    single = _reference(batch, points, surface, torch.float32)
    computed = _computed(run, batch, points, surface)
    for got, expected, rounded in zip(computed, exact, single, strict=True):
        assert got.isfinite().all()
        rounding = float((rounded - expected).abs().max())
        bound = max(1e-5 * float(expected.abs().max()), 4 * rounding)
        torch.testing.assert_close(got, expected, rtol=0, atol=bound)
    assert torch.equal(computed[0][2:], exact[0][2:])


@pytest.mark.parametrize(("surface", "pieces"), [("bezier", 2), ("linear", 5)])
def test_random_curves(run: Run, surface: str, pieces: int) -> None:
    _assert_parity(run, _batch(0, 5), _points(surface, 0, pieces), surface)


@pytest.mark.parametrize("name", ["vertical at 1", "no width at 0", "jump", "free ends, falling"])
def test_extreme_curves(run: Run, name: str) -> None:
    batch = _batch(1, 4)
    curve = torch.tensor(samples.EXTREME[name], dtype=torch.float64)
    batch = replace(batch, logits=batch.logits * 10)
    _assert_parity(run, batch, torch.stack([curve, curve]))


@pytest.mark.parametrize(("classes", "sigmoid"), [(1, True), (21, False), (21, True), (256, False)])
def test_any_number_of_classes(run: Run, classes: int, sigmoid: bool) -> None:
    _assert_parity(run, _batch(3, classes, (2, 3, 5), sigmoid=sigmoid), _points("bezier", 3))


@pytest.mark.parametrize(
    ("layout", "sigmoid"),
    [
        (lambda x: x.contiguous(memory_format=torch.channels_last), True),
        (lambda x: x.mT.contiguous().mT, False),
        (lambda x: x[:1].expand(2, -1, -1, -1), False),
    ],
    ids=["channels last", "columns", "expanded"],
)
def test_layouts(run: Run, layout: Callable[[Tensor], Tensor], sigmoid: bool) -> None:
    batch = _batch(5, 7, sigmoid=sigmoid)
    target = batch.target if sigmoid else batch.target[:, None]
    target = layout(target) if sigmoid else layout(target)[:, 0]
    batch = replace(batch, logits=layout(batch.logits.nan_to_num()), target=target)
    _assert_parity(run, batch, _points("bezier", 5))


@pytest.mark.parametrize(
    ("dtype", "small"), [(torch.bfloat16, None), (torch.float16, (2, 3))], ids=str
)
def test_half_precision_logits_have_float32_sums(
    run: Run, dtype: torch.dtype, small: tuple[int, int] | None
) -> None:
    batch, points = _batch(6, 21, (1, 4, 6), small), _points("bezier", 6)
    batch = replace(batch, logits=batch.logits.to(dtype))
    sums, gradient = _computed(run, batch, points, "bezier")
    expected, slope = _reference(batch, points, "bezier")
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-5)
    step, little = torch.finfo(dtype).eps, 1e-5 * float(slope.abs().max())
    torch.testing.assert_close(gradient, slope, rtol=step, atol=little)


@pytest.mark.parametrize(
    ("small", "shape", "classes", "align_corners"),
    [
        ((2, 3), (1, 8, 12), 4, False),
        ((2, 3), (1, 5, 7), 21, True),
        ((1, 1), (1, 6, 8), 3, False),
        ((2, 1), (1, 5, 4), 256, True),
    ],
)
def test_upsampled_on_the_way(
    run: Run, small: tuple[int, int], shape: tuple[int, int, int], classes: int, align_corners: bool
) -> None:
    batch = replace(_batch(8, classes, shape, small), align_corners=align_corners)
    _assert_parity(run, batch, _points("bezier", 8))


def _of_rows_apart(stride: int) -> tuple[Tensor, Tensor]:
    """Sums and shares of float16 logits whose rows, and shares, are ``stride`` numbers apart."""
    batch, points = _batch(13, 3, (1, 8, 4), (4, 2)), _points("bezier", 13)
    # Of memory, only what is written is taken.
    logits = torch.empty(3 * stride + 6, dtype=torch.half).as_strided(
        (1, 3, 4, 2), (0, 2, stride, 1)
    )
    logits.copy_(batch.logits)
    given = (
        logits,
        batch.target,
        curve_tables("bezier", points, torch.float32),
        samples.VOID,
        False,
    )
    shares = torch.empty(3 * stride + 24, dtype=torch.half)
    out = triton_launch.Map(shares, (0, 1, 3, stride))
    triton_launch.make_job(*given).launch("gradient_kernel", _upstream(3), out)
    return kernels.region_sums(*given), shares.as_strided((4, 24), (stride, 1)).clone()


def test_offsets_of_more_than_32_bits(interpreter: ProcessPoolExecutor) -> None:
    near, far = (interpreter.submit(_of_rows_apart, stride).result() for stride in (24, 2**30))
    assert near[1].any(1).all()
    assert torch.equal(near[0], far[0]) and torch.equal(near[1], far[1])


def test_nothing_of_one_call_is_kept_for_the_next() -> None:
    """Tensors of a CUDA graph, as those of inference mode, are good for where they were made."""
    given = (torch.zeros(1, 3, 2, 3), torch.zeros(1, 4, 6, dtype=torch.int64), [torch.zeros(2, 8)])
    with torch.inference_mode():
        triton_launch.make_job(*given, samples.VOID, False)
    places = triton_launch.make_job(*given, samples.VOID, False).problem.places
    assert places is not None and not any(place.is_inference() for place in places)


@pytest.mark.skipif(not native.CPU, reason="needs the C++ kernels")
@pytest.mark.parametrize("void_edges", [False, True])
@pytest.mark.parametrize("drop_background", [False, True])
@pytest.mark.parametrize("classes", [4, 300])
def test_trimaps(classes: int, void_edges: bool, drop_background: bool) -> None:
    """Of CUDA, which is plain PyTorch, and in C++."""
    target = _batch(12, 4, (2, 9, 11)).target
    target[1] = 1  # an image without an edge
    target[0, 3:] = 2
    given = (target, classes, samples.VOID, 1, drop_background, void_edges)
    found = kernels.trimap(*given)
    assert torch.equal(found, torch.ops.autoseg.trimap(*given))
    assert 0 < (found == 2).sum() < (target == 2).sum()
    assert (found[target == samples.VOID] == classes).all()


def test_sure_predictions_are_counted_exactly(run: Run) -> None:
    """The truth table to the last bit, whatever the curve; no slope at either end."""
    batch = _batch(7, 3)
    guess = torch.randint(3, batch.target.shape, generator=torch.Generator().manual_seed(7))
    logits = torch.nn.functional.one_hot(guess, 3).movedim(-1, 1) * 2e4 - 1e4
    batch = replace(batch, logits=logits)
    sums, gradient = _computed(run, batch, _points("bezier", 7), "bezier")
    hit = [((guess == c) & (batch.target == c)).sum() for c in range(3)]
    claimed = [((guess == c) & (batch.target != c) & batch.valid).sum() for c in range(3)]
    assert sums[:2].tolist() == torch.tensor([hit, claimed]).tolist()
    assert not gradient.any()


@pytest.mark.parametrize(("images", "small"), [(2, None), (0, (2, 3))])
def test_nothing_to_count(run: Run, images: int, small: tuple[int, int] | None) -> None:
    logits = torch.full((images, 4, *(small or (5, 7))), torch.nan)
    batch = Batch(logits, torch.full((images, 5, 7), samples.VOID))
    sums, gradient = _computed(run, batch, _points("bezier", 9), "bezier")
    assert sums.tolist() == torch.zeros(4, 4).tolist()
    assert gradient.shape == logits.shape
    assert not gradient.any()


def test_a_broken_network_is_not_hidden(run: Run) -> None:
    batch = Batch(torch.zeros(1, 3, 1, 5), torch.tensor([[[0, 1, 2, samples.VOID, 0]]]))
    batch.logits[0, 1, 0, 2] = torch.nan
    sums, gradient = _computed(run, batch, _points("bezier", 10), "bezier")
    assert sums.isnan().any()
    assert gradient[0, :, 0, 2].isnan().all()
    assert gradient[0, :, 0, 3:].isfinite().all()


# On a GPU the assertion ends the process's CUDA.
def test_labels_outside_the_classes_are_noticed(interpreter: ProcessPoolExecutor) -> None:
    batch = _batch(14, 4)
    batch.target[1, 2, 3] = 4
    tables = curve_tables("linear", torch.tensor([[[0.0, 0.0], [1.0, 1.0]]]), torch.float32)
    given = (kernels.region_sums, batch.logits, batch.target, tables, samples.VOID, False)
    with pytest.raises(RuntimeError, match="label lies outside the classes"):
        interpreter.submit(*given).result()
