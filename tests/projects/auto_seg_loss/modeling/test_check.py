"""modeling/check.py: a network that cannot be built is refused early, in words."""

from __future__ import annotations

import pytest

from auto_seg_loss.modeling.check import check_model, check_test_size

HEAD = "MODEL.SEM_SEG_HEAD."


def test_a_network_that_can_be_built_passes(make_cfg):
    check_model(make_cfg(HEAD + "LOSS_TYPE", "no such loss"))


@pytest.mark.parametrize(
    "options, message",
    [
        ((HEAD + "NAME", "NoHead"), r"No object named 'NoHead' .* Known: .*AnyLossDeepLabV3Head,"),
        (("MODEL.BACKBONE.NAME", "no_backbone"), r"cannot be built: No object named 'no_back"),
        ((HEAD + "PROJECT_CHANNELS", [4, 4]), r"cannot be built: Expected 1 project_channels"),
        ((HEAD + "NORM", "Norm"), r"cannot be built: Norm"),
        (
            (
                *("MODEL.BACKBONE.NAME", "build_timm_backbone", "MODEL.TIMM.NAME", "hrnet_w18"),
                *("MODEL.TIMM.OPTIONS", ["feature_locution", ""]),
            ),
            r"cannot be built: .*feature_locution",
        ),
        (
            ("MODEL.AUX_HEAD.ENABLED", True, "MODEL.AUX_HEAD.IN_FEATURE", "p3"),
            r"MODEL\.AUX_HEAD\.IN_FEATURE 'p3' is not among the backbone's features: res2",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value[-2]}={value[-1]}",
)
def test_others_are_refused(make_cfg, options, message):
    with pytest.raises(ValueError, match=message):
        check_model(make_cfg(*options))


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ((), False),
        (("INPUT.CROP.SIZE", "[16, 32]"), True),  # divides 48 x 64
        (("INPUT.CROP.ENABLED", False), True),
        (("MODEL.SEM_SEG_HEAD.NAME", "AnyLossDeepLabV3PlusHead"), True),
    ],
)
def test_a_head_that_cannot_score_the_test_images_is_refused(shapes, make_cfg, options, fits):
    cfg = make_cfg("MODEL.SEM_SEG_HEAD.NAME", "DeepLabV3PlusHead", *options)
    if fits:
        return check_test_size(cfg)
    with pytest.raises(ValueError, match=r"cannot score .*test_00000\.jpg: .*Take AnyLossDeep"):
        check_test_size(cfg)
