"""Weight files x scripts: each file is loaded rightly, or refused in one line with status 2."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

PROJECT = Path(__file__).resolve().parents[2] / "projects" / "AutoSegLoss"
State = dict[str, torch.Tensor]

# How each script is told which weights to take.
COMMANDS = {
    "train": ("train_net.py", "--config-file", "{config}", "OUTPUT_DIR", "{out}"),
    "eval": ("train_net.py", "--config-file", "{config}", "--eval-only", "OUTPUT_DIR", "{out}"),
    "search": ("search_net.py", "--config-file", "{config}", "OUTPUT_DIR", "{out}"),
    "study": (
        *("study_net.py", "--config-file", "{config}", "OUTPUT_DIR", "{out}"),
        *("STUDY.LOSSES", "['cross_entropy']"),
    ),
    "demo": (
        *("demo.py", "--config-file", "{config}", "--input", "{images}", "--output", "{out}"),
        "--opts",
    ),
}


def cut(state: State, path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-100])


class Executes:
    """Makes a folder when it is unpickled as pickle does it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


def hidden_pickle(state: State, path: Path) -> None:
    """A pickle that a look at its end takes for a file of torch.save."""
    torch.save(state, path)
    path.write_bytes(pickle.dumps(Executes(path.with_name("executed"))) + path.read_bytes())


NO_WEIGHTS = "no file of weights"
REFUSED: dict[str, tuple[Callable[[State, Path], object], str]] = {
    "lfs.pth": (lambda _, p: p.write_text("version https://git-lfs.github.com"), NO_WEIGHTS),
    "cut.pth": (cut, NO_WEIGHTS),
    "module.pth": (lambda _, p: torch.save(nn.Linear(1, 1), p), "no state dict"),
    "hidden.pkl": (hidden_pickle, "no state dict"),
    "other.pth": (lambda _, p: torch.save(nn.Linear(7, 1).state_dict(), p), "0 of the"),
}
CASES = [*(("train", name) for name in REFUSED), *((s, "hidden.pkl") for s in COMMANDS)]


@pytest.fixture
def command(tiny_config, shapes, tmp_path):
    """``command(script, weights)``: the script's file name, and its arguments."""

    def make(script: str, weights: Path) -> list[str]:
        images = shapes / "shapes" / "JPEGImages" / "test_00000.jpg"
        places = {"config": tiny_config, "images": images, "out": tmp_path / "out"}
        name, *arguments = [part.format(**places) for part in COMMANDS[script]]
        return [name, *arguments, "MODEL.WEIGHTS", str(weights)]

    return make


@pytest.fixture
def state(weights) -> State:
    """Weights of the tiny network."""
    return torch.load(weights, weights_only=True)["model"]


@pytest.mark.parametrize("script, name", CASES)
def test_refused(scripts, command, state, tmp_path, script, name):
    make, words = REFUSED[name]
    make(state, tmp_path / name)
    text = scripts.run(*command(script, tmp_path / name)).refusal()
    assert re.search(f"{name}.*{words}", text), text
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("script", ["train", "eval"])
def test_a_checkpoint_to_go_on_from_is_read_alike(
    scripts, command, state, weights, tmp_path, script
):
    """That which last_checkpoint names: a check of its end does not make it a checkpoint."""
    (tmp_path / "out").mkdir()
    hidden_pickle(state, tmp_path / "out" / "model_0000003.pth")
    (tmp_path / "out" / "last_checkpoint").write_text("model_0000003.pth")
    file, *arguments = command(script, weights)
    text = scripts.run(file, "--resume", *arguments).refusal()
    assert re.search(r"model_0000003\.pth .*no state dict", text), text
    assert not (tmp_path / "out" / "executed").exists()
