"""modeling/semantic_seg.py: any loss, any image size, weights of Detectron2's own head."""

from __future__ import annotations

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model
from torch import nn

from autoseg_core import AutoSegLoss, LossSpec, SearchSpace

HEAD = "MODEL.SEM_SEG_HEAD."
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")


def picture(height: int, width: int) -> dict:
    generator = torch.Generator().manual_seed(height)
    image = torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)
    return {"image": image, "height": height, "width": width}


def spec_with(tmp_path, name: str, metric: str, pieces: int, value: float) -> str:
    """Path of a spec whose coordinates all are `value`."""
    space = SearchSpace(metric, pieces=pieces)
    path = tmp_path / f"{name}.json"
    LossSpec.from_theta(name, space, [value] * space.dim).save(path)
    return str(path)


def test_images_of_any_size_are_segmented_after_64x64_crops(make_cfg):
    size = (33, 131)
    cfg = make_cfg("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [64, 64])
    model = build_model(cfg).eval()
    with torch.no_grad():
        (output,) = model([picture(*size)])
    assert output["sem_seg"].shape == (7, *size)
    assert output["sem_seg"].isfinite().all()


@pytest.mark.parametrize("theirs_first", [True, False])
def test_weights_pass_between_detectron2s_head_and_ours(make_cfg, tmp_path, theirs_first):
    ours = build_model(make_cfg(*SEARCHED)).eval()
    theirs = build_model(
        make_cfg(HEAD + "NAME", "DeepLabV3PlusHead", "INPUT.CROP.ENABLED", False)
    ).eval()
    one, other = (theirs, ours) if theirs_first else (ours, theirs)
    DetectionCheckpointer(one, str(tmp_path)).save("weights")
    DetectionCheckpointer(other).load(str(tmp_path / "weights.pth"))
    image = [picture(48, 64)]
    with torch.no_grad():
        assert torch.equal(one(image)[0]["sem_seg"], other(image)[0]["sem_seg"])


@pytest.mark.parametrize(
    "old, new",
    [
        (("mIoU", 2, 0.2), ("mIoU", 2, 0.7)),
        (None, ("mIoU", 2, 0.7)),
    ],
    ids=["equal shapes", "from cross entropy"],
)
def test_the_loss_of_the_config_outlives_a_checkpoint(make_cfg, tmp_path, old, new):
    def model_with(name: str, spec: tuple | None) -> nn.Module:
        if spec is None:
            return build_model(make_cfg())
        path = spec_with(tmp_path, name, *spec)
        return build_model(make_cfg(HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", path))

    before, after = model_with("old", old).train(), model_with("new", new).train()
    expected = [value.clone() for value in after.sem_seg_head.loss.buffers()]
    logits, target = torch.randn(2, 7, 8, 8), torch.randint(7, (2, 8, 8))
    value = after.sem_seg_head.loss(logits, target)
    DetectionCheckpointer(before, str(tmp_path)).save("old")
    left_over = DetectionCheckpointer(after).load(str(tmp_path / "old.pth"))
    assert "model" not in left_over
    loss = after.sem_seg_head.loss
    assert isinstance(loss, AutoSegLoss) == (new is not None)
    assert all(map(torch.equal, loss.buffers(), expected))
    assert torch.equal(loss(logits, target), value)
    weights = {k: v for k, v in after.state_dict().items() if ".loss." not in k}
    assert all(torch.equal(before.state_dict()[key], value) for key, value in weights.items())


OTHERS = {
    "AnyLossDeepLabV3Head": (HEAD + "IN_FEATURES", ["res5"], HEAD + "COMMON_STRIDE", 16),
    "AnyLossSemSegFPNHead": (HEAD + "IN_FEATURES", ["res2", "res5"], HEAD + "NORM", "BN"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_heads_have_the_weights_of_detectron2s_too(make_cfg, name):
    theirs = ("INPUT.CROP.ENABLED", False, HEAD + "NAME", name.removeprefix("AnyLoss"))
    ours = build_model(make_cfg(HEAD + "NAME", name, *OTHERS[name])).eval()
    model = build_model(make_cfg(*OTHERS[name], *theirs)).eval()
    ours.load_state_dict(model.state_dict(), strict=True)
    image = [picture(48, 64)]
    with torch.no_grad():
        assert torch.equal(ours(image)[0]["sem_seg"], model(image)[0]["sem_seg"])
