"""modeling/build.py: Detectron2's own heads train with any loss of the registry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from auto_seg_loss.losses import build_loss
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checks import check_loss

HEAD = "MODEL.SEM_SEG_HEAD."
STOCK = {
    "DeepLabV3PlusHead": ("INPUT.CROP.ENABLED", False, HEAD + "NAME", "DeepLabV3PlusHead"),
    "DeepLabV3Head": (
        *("INPUT.CROP.ENABLED", False, HEAD + "NAME", "DeepLabV3Head"),
        *(HEAD + "IN_FEATURES", ["res5"], HEAD + "COMMON_STRIDE", 16),
    ),
}
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")
WEIGHTS = [0, 1, 2, 3, 4, 5, 6]
WEIGHTED = (HEAD + "LOSS_TYPE", "weighted_cross_entropy", HEAD + "LOSS_CLASS_WEIGHTS", WEIGHTS)


@pytest.mark.parametrize("options", [SEARCHED, WEIGHTED], ids=["searched", "weighted"])
@pytest.mark.parametrize("name", STOCK)
def test_a_head_of_detectron2_trains_with_the_loss_of_the_config(
    make_cfg, make_batch, name, options
):
    cfg = make_cfg(*STOCK[name], *options)
    model, logits = build_model(cfg).train(), []
    head = model.sem_seg_head
    assert type(head).__name__ == name and type(head.loss) is type(build_loss(cfg))
    head.predictor.register_forward_hook(lambda *args: logits.append(args[2]))
    value = model(images := make_batch(2, 32, 48))["loss_sem_seg"]
    target = torch.stack([item["sem_seg"] for item in images])
    large = F.interpolate(logits[0], target.shape[1:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(value, build_loss(cfg)(large, target))
    value.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_head_of_detectron2_that_takes_no_other_loss_is_refused(make_cfg):
    other = (HEAD + "NAME", "SemSegFPNHead", HEAD + "IN_FEATURES", ["res2", "res5"])
    cfg = make_cfg(*other, HEAD + "NORM", "BN", *SEARCHED)
    with pytest.raises(ValueError, match="SemSegFPNHead' cannot be trained with LOSS_TYPE 'auto_"):
        check_loss(cfg)
