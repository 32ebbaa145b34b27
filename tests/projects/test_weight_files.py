"""Scripts execute nothing of a file of weights, however they are told of it."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
import torch

# How each script is told which weights to take.
COMMANDS = {
    "train": ("train_net.py", "--config-file", "{config}", "OUTPUT_DIR", "{out}"),
    "resume": ("train_net.py", "--config-file", "{config}", "--resume", "OUTPUT_DIR", "{out}"),
    "demo": (
        *("demo.py", "--config-file", "{config}", "--input", "{images}", "--output", "{out}"),
        "--opts",
    ),
}


class Executes:
    """Makes a folder when it is unpickled as pickle does it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pickle_before_a_checkpoint_is_refused(
    scripts, tiny_config, shapes, weights, tmp_path, name
):
    """A look at its end takes it for a file of torch.save."""
    images = shapes / "shapes" / "JPEGImages" / "test_00000.jpg"
    places = {"config": tiny_config, "images": images, "out": tmp_path / "out"}
    command = [part.format(**places) for part in COMMANDS[name]]
    path = tmp_path / "out" / "model_0000003.pth"
    path.parent.mkdir()
    torch.save(torch.load(weights, weights_only=True), path)
    path.write_bytes(pickle.dumps(Executes(tmp_path / "executed")) + path.read_bytes())
    if name == "resume":
        path.with_name("last_checkpoint").write_text(path.name)
    given = weights if name == "resume" else path
    text = scripts.run(*command, "MODEL.WEIGHTS", str(given)).refusal()
    assert re.search(r"model_0000003\.pth .*no state dict", text), text
    assert not (tmp_path / "executed").exists()
