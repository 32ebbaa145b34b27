"""convert_weights.py, weights/conversion.py: a backbone of another library has equal features."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights import Checkpointer, converted

SCRIPT = Path(__file__).resolve().parents[2] / "projects" / "AutoSegLoss" / "convert_weights.py"
CONFIGS = SCRIPT.with_name("configs")
RESNET18 = (
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.RESNETS.DEPTH", "18"),
    *("MODEL.RESNETS.RES2_OUT_CHANNELS", "64", "MODEL.RESNETS.RES5_DILATION", "1"),
)


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """``convert(config, input, KEY, VALUE, ...)``: what the script writes."""

    def run(config: str, source: Path, *options: str) -> Path:
        output = tmp_path / "made" / "converted.pth"
        files = ("--config-file", CONFIGS / config, "--input", source, "--output", output)
        monkeypatch.setattr("sys.argv", [str(part) for part in (SCRIPT, *files, *options)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return output

    return run


def loaded(config: str, weights: Path, *options: str):
    """The backbone of a config with weights that a training would start from."""
    network = build_model(load_config(str(CONFIGS / config), ["MODEL.DEVICE", "cpu", *options]))
    Checkpointer(network).load(str(weights))
    return network.backbone.eval()


def trained(network):
    """Batch norms that are not the identity."""
    for name, tensor in network.state_dict().items():
        if "running" in name:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network.eval()


def test_a_resnet_of_torchvision(convert, tmp_path, capsys):
    from torchvision.models import resnet18

    source = trained(resnet18())
    state = {n: t for n, t in source.state_dict().items() if "num_batches" not in n}
    torch.save(state, tmp_path / "resnet18.pth")
    path = convert("Base-DeepLabV3Plus.yaml", tmp_path / "resnet18.pth", *RESNET18)
    assert "by the names of torchvision's ResNets: all 100 tensors" in capsys.readouterr().out
    backbone, images = loaded("Base-DeepLabV3Plus.yaml", path, *RESNET18), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        stem = source.maxpool(source.relu(source.bn1(source.conv1(images))))
        expected = source.layer4(source.layer3(source.layer2(source.layer1(stem))))
        torch.testing.assert_close(backbone(images)["res5"], expected)


def test_other_names_in_the_same_order(convert, tmp_path, capsys):
    """As the EfficientNets of other packages: the backbone's tensors, then a classifier's."""
    timm = pytest.importorskip("timm", reason="needs timm: extra [baselines]")
    source = trained(timm.create_model("tf_efficientnet_lite0"))
    state = {f"_n{place}.{n.rpartition('.')[2]}": t for place, (n, t) in enumerate(named(source))}
    torch.save(state, tmp_path / "lite0.pth")
    path = convert("Base-EfficientNetLite0.yaml", tmp_path / "lite0.pth")
    assert "by order and shape: all 240 tensors" in capsys.readouterr().out
    found = loaded("Base-EfficientNetLite0.yaml", path).network.state_dict()
    assert (
        sum(torch.equal(found[name], tensor) for name, tensor in named(source)[: len(found)]) > 240
    )


def named(network):
    return list(network.state_dict().items())


OURS = {"backbone.a.weight": torch.zeros(2, 1), "backbone.a.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "state, words",
    [
        (
            {"x.weight": (2, 1)},
            r"number 2: the backbone needs backbone\.a\.bias \(2,\), .* no more",
        ),
        ({"x.weight": (2, 2), "x.bias": (2,)}, r"number 1: .* file has x\.weight \(2, 2\)"),
    ],
    ids=["too few", "another shape"],
)
def test_others_are_refused(state, words):
    tensors = {name: torch.zeros(shape) for name, shape in state.items()}
    with pytest.raises(ConfigError, match=words):
        converted(tensors, {**OURS, "sem_seg_head.w": torch.zeros(1)})
