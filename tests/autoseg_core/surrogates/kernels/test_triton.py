"""Triton kernels against the reference, in value and gradient.

N: images; C: classes; P: pixels of an image; K: control points of a curve.
Without a GPU the kernels run in Triton's interpreter. It must be chosen before Triton is imported,
and no other test shall be affected: so it runs in a process of its own, which the tests ask. The
interpreter checks no types; that the kernels compile is shown for a GPU that need not be there.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from autoseg_core.surfaces import SURFACES, get_surface
from autoseg_core.surfaces.space import SearchSpace
from autoseg_core.surrogates.kernels import triton as kernels
from autoseg_core.surrogates.kernels.tables import COLUMNS, curve_table
from autoseg_core.surrogates.regions import reference_sums

Run = Callable[..., Any]
SURFACE = pytest.mark.parametrize("surface", SURFACES)
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# Few programs, so that tiny images have more tiles than programs.
FEW_PROGRAMS = "import autoseg_core.surrogates.kernels.triton as t\nt.MAX_WARPS = 6"

# In corners of the space: pieces of width zero, vertical and flat tangents, almost no width.


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
    monkeypatch.setattr(kernels, "MAX_WARPS", 6)
    return _on_cuda


def _on_cuda(function: Run, *arguments: Tensor | None) -> Any:
    result = function(*(None if x is None else x.cuda() for x in arguments))
    return result.cpu() if isinstance(result, Tensor) else tuple(x.cpu() for x in result)


def _points(surface: str, seed: int, pieces: int = 2) -> Tensor:
    """Points (2, K, 2) of random curves; about half of the coordinates lie on the walls."""
    space = SearchSpace("mIoU", surface, pieces)
    rng = np.random.default_rng(seed)
    theta = np.where(rng.random(space.dim) < 0.5, rng.random(space.dim), rng.integers(2))
    return torch.from_numpy(space.control_points(theta))


def _batch(seed: int, classes: int, shape: tuple[int, int] = (2, 37)) -> tuple[Tensor, Tensor]:
    """Logits (N, C, P) float32, NaN where masked; labels (N, P) int32 without the last class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, max(1, classes - 1), shape, generator=generator, dtype=torch.int32)
    labels[0, 0] = -1
    logits = torch.randn(shape[0], classes, shape[1], generator=generator) * 3
    return torch.where(labels[:, None] < 0, torch.nan, logits), labels


def _upstream(classes: int) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, classes, generator=torch.Generator().manual_seed(9)).unbind(0)
    return first, second


def _reference(logits: Tensor, labels: Tensor, points: Tensor, surface: str) -> tuple[Tensor, ...]:
    """Sums (2, C) and gradient of the reference, in the precision of the logits."""
    value = get_surface(surface).value
    curves: list[Any] = [lambda x, p=p: value(p.to(x.dtype), x) for p in points]
    curves.append(lambda x: x)
    logits = logits.clone().requires_grad_()
    sums = reference_sums(logits, labels, curves[0], curves[1], "softmax")
    upstream = torch.stack(_upstream(logits.shape[1])).to(sums.dtype)
    (gradient,) = torch.autograd.grad((sums * upstream).sum(), logits)
    return sums.detach().double(), gradient.double()


def _computed(
    run: Run, logits: Tensor, labels: Tensor, points: Tensor, surface: str
) -> tuple[Tensor, Tensor]:
    """The same by the kernels."""
    tables = [curve_table(surface, p, torch.float32) for p in points]
    given = (logits, labels, tables[0], tables[1] if len(tables) > 1 else None)
    sums = torch.stack(run(kernels.region_sums, *given))
    gradient = run(kernels.region_sums_backward, *given, *_upstream(logits.shape[1]))
    assert sums.dtype == torch.float32
    assert gradient.dtype == logits.dtype
    return sums.double(), gradient.double()


def _assert_parity(run: Run, logits: Tensor, labels: Tensor, points: Tensor, surface: str) -> None:
    """Within 1e-5 of the largest entry; where float32 itself is worse, within four times that.

    Worse it is next to a vertical tangent or a jump at p = 1: float32 has no numbers between
    1 - 6e-8 and 1, and a floor of y at 1.2e-7.
    """
    exact = _reference(logits.double(), labels, points, surface)
    single = _reference(logits, labels, points, surface)
    computed = _computed(run, logits, labels, points, surface)
    for got, expected, rounded in zip(computed, exact, single, strict=True):
        assert got.isfinite().all()
        rounding = float((rounded - expected).abs().max())
        bound = max(1e-5 * float(expected.abs().max()), 4 * rounding)
        torch.testing.assert_close(got, expected, rtol=0, atol=bound)
    assert (computed[1].movedim(1, 2)[labels < 0] == 0).all()


@SURFACE
@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_random_curves(run: Run, surface: str, pieces: int, seed: int) -> None:
    _assert_parity(run, *_batch(seed, 5), _points(surface, seed, pieces), surface)


@SURFACE
@pytest.mark.parametrize("name", samples.EXTREME)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_extreme_curves(run: Run, surface: str, name: str, scale: float) -> None:
    logits, labels = _batch(1, 4)
    curve = torch.tensor(samples.EXTREME[name], dtype=torch.float64)
    _assert_parity(run, logits * scale, labels, torch.stack([curve, curve]), surface)


def test_below_the_floor_of_y(run: Run) -> None:
    """p < 1.2e-7 next to a vertical tangent: the bounded slope of the reference."""
    logits = torch.stack([torch.zeros(9), torch.linspace(-30, -15, 9)])[None]
    labels = torch.zeros(1, 9, dtype=torch.int32)
    curves = [[(0, 0), (0.5, 0.5), (1, 1)], samples.EXTREME["vertical at 0"]]
    points = torch.tensor(curves, dtype=torch.float64)
    sums, gradient = _computed(run, logits, labels, points, "bezier")
    expected, slope = _reference(logits, labels, points, "bezier")
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=0)


@SURFACE
def test_without_the_or_curve_the_union_is_that_of_the_identity(run: Run, surface: str) -> None:
    _assert_parity(run, *_batch(2, 4), _points(surface, 2)[:1], surface)


@pytest.mark.parametrize("classes", [1, 2, 3, 19, 21, 40, 100, 150, 171, 256])
def test_any_number_of_classes(run: Run, classes: int) -> None:
    _assert_parity(run, *_batch(3, classes), _points("bezier", 3), "bezier")


@pytest.mark.parametrize("shape", [(1, 1), (1, 130), (3, 64), (2, 400)])
def test_any_number_of_pixels(run: Run, shape: tuple[int, int]) -> None:
    logits, labels = _batch(4, 20, shape)
    labels[0, 0], logits[0, :, 0] = 0, torch.arange(20.0)
    _assert_parity(run, logits, labels, _points("bezier", 4), "bezier")


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.mT.contiguous().mT,
        lambda x: x.movedim(0, 2).contiguous().movedim(2, 0),
        lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
        lambda x: x.repeat_interleave(3, dim=2)[..., ::3],
        lambda x: x[:1].expand(2, -1, -1),
    ],
    ids=["channels last", "images last", "every second channel", "every third pixel", "expanded"],
)
def test_layouts(run: Run, layout: Callable[[Tensor], Tensor]) -> None:
    logits, labels = _batch(5, 7)
    logits, labels = layout(logits.nan_to_num()), labels.mT.contiguous().mT
    _assert_parity(run, logits, labels, _points("bezier", 5), "bezier")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_have_float32_sums(run: Run, dtype: torch.dtype) -> None:
    logits, labels = _batch(6, 21)
    half, labels, points = logits.to(dtype), labels.to(torch.int16), _points("bezier", 6)
    sums, gradient = _computed(run, half, labels, points, "bezier")
    expected, slope = _reference(half.double(), labels, points, "bezier")
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-5)
    step, small = torch.finfo(dtype).eps, 1e-5 * float(slope.abs().max())
    torch.testing.assert_close(gradient, slope, rtol=step, atol=small)


@SURFACE
@pytest.mark.parametrize("scale", [90.0, 1e4])
def test_sure_predictions_are_counted_exactly(run: Run, surface: str, scale: float) -> None:
    """The truth table to the last bit, whatever the curve; no slope at either end."""
    _, labels = _batch(7, 3)
    guess = torch.randint(3, labels.shape, generator=torch.Generator().manual_seed(7))
    logits = torch.nn.functional.one_hot(guess, 3).movedim(-1, 1) * (2 * scale) - scale
    sums, gradient = _computed(run, logits, labels, _points(surface, 7), surface)
    valid = labels >= 0
    hit = [((guess == c) & (labels == c)).sum() for c in range(3)]
    claimed = [((guess == c) & (labels != c) & valid).sum() for c in range(3)]
    assert sums.tolist() == torch.tensor([hit, claimed]).tolist()
    assert not gradient.any()


def test_masked_pixels_change_nothing(run: Run) -> None:
    logits, labels = _batch(8, 6)
    masked = labels[:, None] < 0
    first, again = (
        _computed(run, torch.where(masked, x, logits), labels, _points("bezier", 8), "bezier")
        for x in (torch.inf, 0.0)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize("shape", [(2, 37), (2, 0), (0, 37), (0, 0)])
def test_nothing_to_count(run: Run, shape: tuple[int, int]) -> None:
    logits = torch.full((shape[0], 4, shape[1]), torch.nan)
    labels = torch.full(shape, -1, dtype=torch.int32)
    sums, gradient = _computed(run, logits, labels, _points("bezier", 9), "bezier")
    assert sums.tolist() == torch.zeros(2, 4).tolist()
    assert gradient.shape == logits.shape
    assert not gradient.any()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_broken_network_is_not_hidden(run: Run, bad: float) -> None:
    logits, labels = torch.zeros(1, 3, 5), torch.tensor([[0, 1, 2, -1, 0]], dtype=torch.int32)
    logits[0, 1, 2] = bad
    sums, gradient = _computed(run, logits, labels, _points("bezier", 10), "bezier")
    assert sums.isnan().any()
    assert gradient[0, :, 2].isnan().all()
    assert gradient[0, :, 3:].isfinite().all()


def test_equal_calls_give_equal_numbers(run: Run) -> None:
    given = (*_batch(11, 21, (3, 200)), _points("bezier", 11), "bezier")
    first, again = _computed(run, *given), _computed(run, *given)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def _table() -> Tensor:
    return curve_table("linear", torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.float32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logits": torch.zeros(2, 257, 5)}, "at most 256; got 257"),
        ({"logits": torch.zeros(2, 0, 5)}, "at most 256; got 0"),
        ({"logits": torch.zeros(2, 3, 5, dtype=torch.float64)}, "float16, got .* torch.float64"),
        ({"logits": torch.zeros(2, 3, 5, 5)}, r"\(N, C, P\) .*logits.flatten\(2\)"),
        ({"labels": torch.zeros(2, 5, dtype=torch.int64)}, "labels of .* got .* in torch.int64"),
        ({"labels": torch.zeros(2, 4, dtype=torch.int32)}, r"labels of shape \(2, 5\).*\(2, 4\)"),
        ({"labels": torch.zeros(2, 5, dtype=torch.int32, device="meta")}, "labels .* on meta"),
        ({"and_table": torch.zeros(1, 7)}, f"and_table of shape .1, {COLUMNS}.*, got .1, 7."),
        ({"or_table": torch.zeros(1, 8).double()}, "or_table .* torch.float64"),
    ],
)
def test_what_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Tensor], words: str
) -> None:
    monkeypatch.setattr(kernels, "available", lambda device: True)
    given: dict[str, Any] = {
        "logits": torch.zeros(2, 3, 5),
        "labels": torch.zeros(2, 5, dtype=torch.int32),
        "and_table": _table(),
        "or_table": _table(),
    }
    with pytest.raises(ValueError, match=words):
        kernels.region_sums(**given | changes)


@pytest.mark.parametrize("name", ["found_gradient", "claimed_gradient"])
@pytest.mark.parametrize("wrong", [torch.zeros(2), torch.zeros(3, dtype=torch.float64)])
def test_gradients_of_another_shape_or_dtype_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Tensor
) -> None:
    monkeypatch.setattr(kernels, "available", lambda device: True)
    upstream = {"found_gradient": torch.zeros(3), "claimed_gradient": torch.zeros(3)}
    labels = torch.zeros(2, 5, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"Expected d[IU]'? of shape \(3,\) in torch.float32"):
        kernels.region_sums_backward(
            torch.zeros(2, 3, 5), labels, _table(), None, **upstream | {name: wrong}
        )


def test_the_host_is_refused_without_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not kernels.available("cpu")
    with pytest.raises(ValueError, match="got logits on cpu; move them"):
        kernels.region_sums(*_batch(0, 3), _table(), None)


def test_without_triton_the_module_is_imported_and_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert not kernels.available()
    code = "import sys; sys.modules['triton'] = None\nimport autoseg_core.surrogates.kernels.triton"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["sums_kernel", "gradient_kernel"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_compiles_for_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, dtype: str
) -> None:
    """To machine code of an A100, which need not be there: types, layouts and registers fit."""
    triton = pytest.importorskip("triton")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", 80, 32)
    from autoseg_core.surrogates.kernels import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    tiling = kernels._TILINGS[32]
    constants = {"AND_PIECES": 2, "OR_PIECES": 2, "BLOCK_C": 32, "BLOCK_P": tiling.pixels}
    pointers = {"logits": dtype, "gradient": dtype, "labels": "i16", "partial": "fp32"}
    pointers |= {"and_table": "fp32", "or_table": "fp32", "upstream": "fp32"}
    signature = {
        argument: "constexpr" if argument in constants else f"*{pointers[argument]}"
        for argument in kernel.arg_names
        if argument in constants or argument in pointers
    }
    signature = {argument: signature.get(argument, "i32") for argument in kernel.arg_names}
    source = triton.compiler.ASTSource(kernel, signature, constants)
    compiled = triton.compile(source, target=target, options={"num_warps": tiling.warps})
    assert compiled.asm["cubin"]
