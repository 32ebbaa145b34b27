"""losses.py: a configured name meets its module."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from detectron2.projects.deeplab.loss import DeepLabCE
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from auto_seg_loss.losses import CrossEntropy, HardPixelMining, build_loss

HEAD = "MODEL.SEM_SEG_HEAD."
SPEC = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC")
WEIGHTS = [1.0, 2.0, 0.5, 1.0, 4.0, 0.0, 1.0]
SMP = pytest.mark.skipif(
    find_spec("segmentation_models_pytorch") is None,
    reason="needs segmentation_models_pytorch: extra [baselines]",
)
OPTIONS = {
    "cross_entropy": (),
    "weighted_cross_entropy": (HEAD + "LOSS_CLASS_WEIGHTS", WEIGHTS),
    "hard_pixel_mining": (),
    **{name: (*SPEC, name) for name in ("voc-miou-bezier", "voc-bf1-bezier")},
}
LOSSES = [
    pytest.param((HEAD + "LOSS_TYPE", name, *options), id=name) for name, options in OPTIONS.items()
]
LOSSES += [
    pytest.param((HEAD + "LOSS_TYPE", name), id=name, marks=SMP)
    for name in ("focal", "dice", "cross_entropy_dice", "jaccard", "lovasz")
]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 7, 6, 8) and a target (2, 6, 8) without void."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 6, 8, generator=generator)
    return logits, torch.randint(7, (2, 6, 8), generator=generator)


def test_without_void_the_hardest_pixels_are_those_of_detectron2(batch):
    upstream = DeepLabCE(ignore_label=255, top_k_percent_pixels=0.2)
    torch.testing.assert_close(HardPixelMining(0.2, 255)(*batch), upstream(*batch))


def test_void_pixels_do_not_dilute_the_hardest(batch):
    logits, target = batch
    wide = (
        torch.cat([logits, logits], dim=3),
        torch.cat([target, target.new_full((2, 6, 8), 255)], 2),
    )
    loss = HardPixelMining(0.2, 255)
    torch.testing.assert_close(loss(*wide), loss(*batch))
    one = loss(logits[:1, :, :1, :1], target[:1, :1, :1])  # a fifth of one pixel is that pixel
    torch.testing.assert_close(
        one, nn.functional.cross_entropy(logits[:1, :, 0, 0], target[:1, 0, 0])
    )


class WithoutDoubles(TorchDispatchMode):
    """As on MPS, no operation may return float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError(f"float64 of {func}")
        return result


@pytest.mark.parametrize("share", [0.2, 0.07, 1 / 3, 1.0])
def test_so_many_of_the_valid_pixels_count(share):
    loss, classes = HardPixelMining(share, 255), 3
    logits = torch.randn(1, classes, 1, 200, generator=torch.Generator().manual_seed(0))
    for valid in (1, 4, 5, 6, 99, 100, 101, 200):
        target = torch.zeros(1, 1, 200, dtype=torch.int64)
        target[..., valid:] = 255
        each = nn.functional.cross_entropy(logits, target, reduction="none", ignore_index=255)
        hardest = each.flatten().sort(descending=True).values
        with WithoutDoubles():
            value = loss(logits, target)
        expected = hardest[: max(1, int(share * valid + 1e-9))].mean()
        torch.testing.assert_close(value, expected)


def value_and_gradient(loss: nn.Module, logits: torch.Tensor, target: torch.Tensor):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target)
    value.backward()
    assert value.shape == () and value.isfinite() and leaf.grad.isfinite().all()
    return value.detach(), leaf.grad


# The published BF1 loss sees what is predicted at void, as released.
@pytest.mark.parametrize("options", [loss for loss in LOSSES if loss.id != "voc-bf1-bezier"])
def test_void_pixels_change_nothing(make_cfg, batch, options):
    (logits, target), void = batch, 200
    loss = build_loss(make_cfg(HEAD + "IGNORE_VALUE", void, *options))
    target[:, :3] = void
    other = logits.clone()
    other[:, :, :3] += 10 * torch.randn(2, 7, 3, 8)
    (value, gradient), (same, _) = (value_and_gradient(loss, x, target) for x in (logits, other))
    assert torch.equal(value, same)
    # A boundary loss looks at the neighbours of valid pixels, but not at void ones.
    assert not gradient[:, :, :3].any() and gradient[:, :, 3:].any()


@pytest.mark.parametrize("options", LOSSES)
def test_a_batch_of_void_costs_nothing(make_cfg, batch, options):
    logits, target = batch
    value, gradient = value_and_gradient(
        build_loss(make_cfg(*options)), logits, torch.full_like(target, 255)
    )
    assert value == 0 and not gradient.any()


# The image is smaller than BF1's tolerance: all edges match.
@pytest.mark.parametrize("options", [loss for loss in LOSSES if loss.id != "voc-bf1-bezier"])
def test_the_truth_costs_less_than_anything_else(make_cfg, batch, options):
    _, target = batch
    target[:, 0] = 255
    loss = build_loss(make_cfg(*options))
    right = nn.functional.one_hot(target.where(target != 255, 0), 7).movedim(-1, 1) * 20.0
    good, bad = (value_and_gradient(loss, x, target)[0] for x in (right, right.roll(1, dims=1)))
    assert 0 <= good < 0.2 * bad


@pytest.mark.parametrize("weights", [None, torch.tensor(WEIGHTS)], ids=["plain", "weighted"])
def test_cross_entropy_is_torchs_where_there_are_valid_pixels(batch, weights):
    logits, target = batch
    target[:, :2] = 255
    ours = value_and_gradient(CrossEntropy(weights, ignore_index=255), logits, target)
    torchs = value_and_gradient(nn.CrossEntropyLoss(weights, ignore_index=255), logits, target)
    torch.testing.assert_close(ours, torchs)
    assert weights is not None or all(map(torch.equal, ours, torchs))


@SMP
@pytest.mark.parametrize(
    "name, score",
    [("dice", lambda i, p, t: 2 * i / (p + t)), ("jaccard", lambda i, p, t: i / (p + t - i))],
)
def test_dice_and_jaccard_are_those_of_the_batch(make_cfg, batch, name, score):
    logits, target = batch
    target[:, :2] = 255
    prediction = logits.softmax(1)[:, :, 2:]
    truth = nn.functional.one_hot(target[:, 2:], 7).movedim(-1, 1)
    inter, pred, true = ((x).sum((0, 2, 3)) for x in (prediction * truth, prediction, truth))
    expected = 1 - score(inter, pred, true).mean()
    loss = build_loss(make_cfg(HEAD + "LOSS_TYPE", name))
    torch.testing.assert_close(loss(logits, target), expected)


def test_the_backend_is_that_of_the_config(make_cfg):
    loss = build_loss(make_cfg(*SPEC, "miou", HEAD + "LOSS_SYNC", False))
    assert (loss.sync, loss.backend) == (False, "auto")
    with pytest.raises(ValueError, match=r"Unknown backend 'fast'; known: auto, reference, native"):
        build_loss(make_cfg(*SPEC, "voc-miou-bezier", HEAD + "LOSS_BACKEND", "fast"))
