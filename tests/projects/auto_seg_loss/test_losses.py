"""losses.py: a configured name meets its module."""

from __future__ import annotations

import pytest
import torch
from detectron2.projects.deeplab.loss import DeepLabCE
from torch import nn

from auto_seg_loss.losses import SEM_SEG_LOSS_REGISTRY, build_loss, loss_names
from autoseg_core import AutoSegLoss, SpecError, load_spec, zoo_names

HEAD = "MODEL.SEM_SEG_HEAD."
SPEC = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC")


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 7, 6, 8) and a target (2, 6, 8) without void."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 6, 8, generator=generator)
    return logits, torch.randint(7, (2, 6, 8), generator=generator)


def test_three_losses_are_known():
    assert loss_names() == ["auto_seg_loss", "cross_entropy", "hard_pixel_mining"]


@pytest.mark.parametrize(
    "options, kind",
    [
        ((), nn.CrossEntropyLoss),
        ((HEAD + "LOSS_TYPE", "cross_entropy"), nn.CrossEntropyLoss),
        ((HEAD + "LOSS_TYPE", "hard_pixel_mining"), DeepLabCE),
        ((*SPEC, "voc-miou-bezier"), AutoSegLoss),
    ],
)
def test_a_name_gives_its_module(make_cfg, options, kind):
    assert isinstance(build_loss(make_cfg(*options)), kind)


def test_an_unknown_name_lists_the_known_ones(make_cfg):
    with pytest.raises(ValueError, match=r"'dice'.* auto_seg_loss, cross_entropy, hard_pix"):
        build_loss(make_cfg(HEAD + "LOSS_TYPE", "dice"))


def test_auto_seg_loss_without_a_spec_says_what_to_set(make_cfg):
    with pytest.raises(
        ValueError, match=r"needs MODEL\.SEM_SEG_HEAD\.LOSS_SPEC: a name of the zoo"
    ):
        build_loss(make_cfg(HEAD + "LOSS_TYPE", "auto_seg_loss"))


def test_an_unknown_spec_lists_the_zoo(make_cfg):
    with pytest.raises(SpecError) as error:
        build_loss(make_cfg(*SPEC, "voc-miou-besier"))
    assert "'voc-miou-besier'" in str(error.value)
    assert all(name in str(error.value) for name in zoo_names())


def test_a_missing_spec_file_is_named(make_cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        build_loss(make_cfg(*SPEC, tmp_path / "nothing.json"))


def test_a_spec_is_read_by_path(make_cfg, tmp_path, batch):
    path = tmp_path / "mine.json"
    load_spec("voc-macc-bezier").save(path)
    by_path, by_name = (build_loss(make_cfg(*SPEC, spec)) for spec in (path, "voc-macc-bezier"))
    assert torch.equal(by_path(*batch), by_name(*batch))


@pytest.mark.parametrize("void", [255, 200])
@pytest.mark.parametrize(
    "options",
    [("cross_entropy",), ("auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")],
    ids=lambda options: options[0],
)
def test_void_is_the_configured_ignore_value(make_cfg, batch, options, void):
    logits, target = batch
    loss = build_loss(make_cfg(HEAD + "IGNORE_VALUE", void, HEAD + "LOSS_TYPE", *options))
    target[:, :2] = void
    other = logits.clone()
    other[:, :, :2] += torch.randn(2, 7, 2, 8)
    assert torch.equal(loss(logits, target), loss(other, target))


def test_hard_pixel_mining_keeps_the_hardest_fifth_of_the_valid_pixels(make_cfg, batch):
    logits, target = batch
    target[:, :2] = 255
    loss = build_loss(make_cfg(HEAD + "LOSS_TYPE", "hard_pixel_mining"))
    each = nn.functional.cross_entropy(logits, target, ignore_index=255, reduction="none")
    count = int(0.2 * target.numel())  # Detectron2: of all pixels, void ones with loss 0
    torch.testing.assert_close(loss(logits, target), each.flatten().topk(count).values.mean())


def test_a_user_registers_a_loss(make_cfg, batch, monkeypatch):
    class Margin(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return nn.functional.multi_margin_loss(
                logits.movedim(1, -1).flatten(0, 2), target.ravel()
            )

    def margin(cfg: object) -> nn.Module:
        return Margin()

    monkeypatch.setattr(
        SEM_SEG_LOSS_REGISTRY, "_obj_map", dict(SEM_SEG_LOSS_REGISTRY._obj_map)
    )  # forgotten after the test
    SEM_SEG_LOSS_REGISTRY.register(margin)
    assert "margin" in loss_names()
    loss = build_loss(make_cfg(HEAD + "LOSS_TYPE", "margin"))
    assert isinstance(loss, Margin) and loss(*batch).isfinite()


def test_processes_are_summed_and_the_backend_chosen_as_configured(make_cfg):
    loss = build_loss(make_cfg(*SPEC, "voc-miou-bezier"))
    assert (loss.sync, loss.backend) == (True, "auto")
    options = (HEAD + "LOSS_SYNC", False, HEAD + "LOSS_BACKEND", "reference")
    loss = build_loss(make_cfg(*SPEC, "voc-miou-bezier", *options))
    assert (loss.sync, loss.backend) == (False, "reference")
    with pytest.raises(ValueError, match=r"Unknown backend 'fast'; known: auto, reference, fused"):
        build_loss(make_cfg(*SPEC, "voc-miou-bezier", HEAD + "LOSS_BACKEND", "fast"))
