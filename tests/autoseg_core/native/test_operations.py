"""What PyTorch must know of the operations: schemas, shapes, derivatives, compiled steps.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import samples
import torch
from torch import Tensor

from autoseg_core import native
from autoseg_core.native.tables import curve_tables

pytestmark = [
    pytest.mark.skipif(not native.CPU, reason="needs the C++ kernels"),
    # Dynamo asks every tensor for its .grad, and is warned where that is not a leaf.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]
VOID = samples.VOID
# Arguments after logits, target and tables, by what computes them.
CASES: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "mAcc": ("region_sums", "mAcc", (VOID, False)),
    "multilabel": ("region_sums", "mIoU", (VOID, False)),
    "upsampled": ("region_sums", "mIoU", (VOID, True)),
    "BF1": ("boundary_sums", "BF1", (VOID, False, 2)),
    "BF1_difference": ("boundary_sums", "BF1_difference", (VOID, True, 2)),
    "BoundaryIoU": ("band_sums", "BoundaryIoU(radius=2)", (VOID, False, 2, True)),
}
DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def arguments(case: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits (2, 3, 5, 6), a target of their size or of 9x11, and tables."""
    generator = torch.Generator().manual_seed(0)
    metric = CASES[case][1]
    shape = (2, 9, 11) if case == "upsampled" else (2, 5, 6)
    target = torch.randint(3, shape, generator=generator)
    if case == "multilabel":
        target = torch.randint(2, (2, 3, 5, 6), generator=generator)
    target[0, 1:3, 2] = VOID
    points = torch.tensor(samples.term(metric).control_points, dtype=torch.float64)
    tables = [*curve_tables("bezier", points, torch.float32)]
    return torch.randn(2, 3, 5, 6, generator=generator).to(dtype), target.byte(), tables


@DTYPE
@pytest.mark.parametrize("case", CASES)
def test_torch_accepts_every_operation(case: str, dtype: torch.dtype) -> None:
    name, _, options = CASES[case]
    logits, target, tables = arguments(case, dtype)
    logits = logits.to(memory_format=torch.channels_last)
    forward: Any = getattr(torch.ops.autoseg, name).default
    backward: Any = getattr(torch.ops.autoseg, f"{name}_backward").default
    gradient = torch.randn_like(forward(logits, target, tables, *options))
    given = (target, tables, *options)
    torch.library.opcheck(forward, (logits.clone().requires_grad_(), *given))
    torch.library.opcheck(backward, (gradient, logits, *given))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused_and_never_read(case: str, which: int) -> None:
    """Too few sides of the logits, too few pixels of the target, too few columns of a table."""
    name, _, options = CASES[case]
    logits, target, tables = arguments(case, torch.float32)
    if which == 2:
        tables = [table[:, :-1].contiguous() for table in tables]
    given = [logits[0] if which == 0 else logits, target[..., 1:] if which == 1 else target, tables]
    if case == "upsampled" and which == 1:
        given[1] = target[..., :5]
    with pytest.raises((RuntimeError, IndexError)):
        getattr(torch.ops.autoseg, name)(*given, *options)


@pytest.mark.parametrize("classes", [4, 300])
def test_torch_accepts_the_trimap(classes: int) -> None:
    operation: Any = torch.ops.autoseg.trimap.default
    torch.library.opcheck(operation, (samples.batch(0)[1], classes, VOID, 2, True, False))


@pytest.mark.parametrize(
    ("metric", "options"),
    [("BIoU", {"upsample": "bilinear"}), ("BF1", {})],
)
def test_one_graph_for_images_of_all_sizes(metric: str, options: dict[str, Any]) -> None:
    """Sizes vary in a training on whole images; ``dynamic=True`` is what its user sets."""
    torch._dynamo.reset()
    loss = samples.loss_of(samples.term(metric, tolerance=2), **options)
    step: Callable[..., Tensor] = torch.compile(
        loss, backend="aot_eager", fullgraph=True, dynamic=True
    )
    generator = torch.Generator().manual_seed(0)
    scale = 2 if options else 1
    with torch._dynamo.config.patch(error_on_recompile=True):
        for side in range(8, 14):
            logits = torch.randn(2, 5, side, side + 3, generator=generator, requires_grad=True)
            shape = (2, scale * side, scale * (side + 3))
            target = torch.randint(5, shape, generator=generator)
            value, gradient = samples.value_and_gradient(step, logits, target)
            expected, exact = samples.value_and_gradient(loss, logits, target)
            torch.testing.assert_close(value, expected)
            # PyTorch upsamples in a graph by other operations than outside of it.
            torch.testing.assert_close(
                gradient, exact, rtol=0, atol=5e-6 * float(exact.abs().max())
            )
