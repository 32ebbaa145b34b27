"""The loss on an accelerator: no host sync in forward, nothing left on the host.

Shown without one: fake CUDA tensors have shapes and devices but no data. An operation that mixes
devices fails on them, and one that hands data to the host (``item``, ``nonzero``, boolean indexing)
raises. Where a GPU is present, CUDA's own sync detector looks too.
"""

from __future__ import annotations

from typing import Any

import pytest
import samples
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

EVERY = pytest.mark.parametrize(("metric", "surface"), samples.COUNTED)


@EVERY
def test_no_host_sync_on_fake_cuda_tensors(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface, drop_background=True))
    with FakeTensorMode() as mode:
        state = {name: mode.from_tensor(b).to("cuda") for name, b in loss.named_buffers()}
        logits = torch.empty(2, 5, 14, 18, device="cuda", dtype=torch.float16, requires_grad=True)
        target = torch.empty(2, 14, 18, device="cuda", dtype=torch.int64)
        value = torch.func.functional_call(loss, state, (logits, target))
    assert value.device.type == "cuda"
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert value.requires_grad


class _Device(TorchDispatchMode):
    """The device meta as one such as MPS: no float64; a copy may come after its source is freed.

    copies: of tensors from the host, which no CUDA graph can capture.
    """

    copies = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        given, made = (
            [one for one in tree_leaves(leaves) if isinstance(one, torch.Tensor)]
            for leaves in ((args, kwargs), found)
        )
        if any(one.is_meta for one in made):
            assert all(one.dtype != torch.double for one in made)
            assert not kwargs.get("non_blocking")
            self.copies += any(one.ndim > 0 and not one.is_meta for one in given)
        return found


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize(
    ("metric", "surface"),
    [
        *samples.COUNTED,
        ("IoU(classes=[0,2])", "bezier"),
        ("wIoU(weights=[1,2,3,4,5])", "bezier"),
    ],
)
def test_a_device_without_float64(metric: str, surface: str, moved: bool) -> None:
    """Nothing is read; of a loss that is not moved the control points are copied, no more."""
    loss = samples.loss_of(samples.term(metric, surface)).to("meta" if moved else "cpu")
    with _Device() as device:
        logits = torch.empty(2, 5, 14, 18, device="meta", requires_grad=True)
        value = loss(logits, torch.empty(2, 14, 18, device="meta", dtype=torch.int64))
        (gradient,) = torch.autograd.grad(value, logits)
    assert value.is_meta and gradient.is_meta and gradient.shape == logits.shape
    assert device.copies == (0 if moved else 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EVERY
def test_no_host_sync_on_a_gpu(metric: str, surface: str) -> None:
    loss = samples.loss_of(samples.term(metric, surface))
    logits, target = samples.batch(0)
    expected = loss(logits, target)
    loss, logits, target = loss.cuda(), logits.cuda().requires_grad_(), target.cuda()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        value = loss(logits, target)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    value.backward()
    torch.testing.assert_close(value.detach().cpu(), expected)
    assert logits.grad is not None and logits.grad.isfinite().all()
