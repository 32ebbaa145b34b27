"""modeling/semantic_seg.py: any loss, any image size, weights of Detectron2's own head."""

from __future__ import annotations

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model

HEAD = "MODEL.SEM_SEG_HEAD."
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DeepLabV3PlusHead", ()),
        ("DeepLabV3Head", (HEAD + "IN_FEATURES", ["res5"], HEAD + "COMMON_STRIDE", 16)),
        ("SemSegFPNHead", (HEAD + "IN_FEATURES", ["res2", "res5"], HEAD + "NORM", "BN")),
    ],
)
@pytest.mark.parametrize("theirs_first", [True, False])
def test_weights_pass_between_detectron2s_heads_and_ours(
    make_cfg, make_batch, tmp_path, name, options, theirs_first
):
    ours = build_model(make_cfg(HEAD + "NAME", f"AnyLoss{name}", *options, *SEARCHED)).eval()
    stock = (HEAD + "NAME", name, "INPUT.CROP.ENABLED", False)
    theirs = build_model(make_cfg(*stock, *options)).eval()
    one, other = (theirs, ours) if theirs_first else (ours, theirs)
    DetectionCheckpointer(one, str(tmp_path)).save("weights")
    DetectionCheckpointer(other).load(str(tmp_path / "weights.pth"))
    image = make_batch(1, 48, 64)
    with torch.no_grad():
        assert torch.equal(one(image)[0]["sem_seg"], other(image)[0]["sem_seg"])


@pytest.mark.parametrize("old", [(*SEARCHED[:-1], "idd-miou-bezier"), ()])
def test_the_loss_of_the_config_outlives_a_checkpoint(make_cfg, tmp_path, old):
    before, after = (build_model(make_cfg(*own)).train() for own in (old, SEARCHED))
    expected = [value.clone() for value in after.sem_seg_head.loss.buffers()]
    logits, target = torch.randn(2, 7, 8, 8), torch.randint(7, (2, 8, 8))
    value = after.sem_seg_head.loss(logits, target)
    DetectionCheckpointer(before, str(tmp_path)).save("old")
    left_over = DetectionCheckpointer(after).load(str(tmp_path / "old.pth"))
    assert "model" not in left_over
    loss = after.sem_seg_head.loss
    assert all(map(torch.equal, loss.buffers(), expected))
    assert torch.equal(loss(logits, target), value)
    weights = {k: v for k, v in after.state_dict().items() if ".loss." not in k}
    assert all(torch.equal(before.state_dict()[key], value) for key, value in weights.items())
