"""A tiny made data set, a tiny network for it, and the scripts as a user runs them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from make_shapes import Parameters, make_shapes

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "projects" / "AutoSegLoss"
SERVER = Path(__file__).with_name("helpers") / "script_server.py"

# 32x32 crops of 48x64 images, a network of 10 000 weights: an iteration takes 5 ms, and after 30 of
# them scores are no longer those of a constant prediction.
TINY = f"""
_BASE_: "{PROJECT / "configs" / "shapes" / "Base-Shapes.yaml"}"
MODEL:
  RESNETS:
    STEM_OUT_CHANNELS: 8
  SMALL_RESNET:
    CHANNELS: [8, 12, 16, 16]
  SEM_SEG_HEAD:
    PROJECT_CHANNELS: [4]
    ASPP_CHANNELS: 8
    CONVS_DIM: 8
INPUT:
  CROP:
    SIZE: [32, 32]
SOLVER:
  IMS_PER_BATCH: 4
  BASE_LR: 0.05
  MAX_ITER: 4
SEARCH:
  ROUNDS: 2
  AGENT: ppo
  SAMPLES: 2
  PROXY:
    MAX_ITER: 3
  WARM_START:
    MAX_ITER: 30
    BASE_LR: 0.05
  HOLDOUT:
    FRACTION: 0.25
  SELECTION:
    TOP_K: 1
    RESEEDS: 2
"""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is seen of data sets is kept for the session alone; fonts stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with a `shapes` of 8 training, 2 validation and 3 test images."""
    root = tmp_path_factory.mktemp("datasets")
    make_shapes(root, Parameters(height=48, width=64, train=8, val=2, test=3))
    return root


@pytest.fixture
def shapes(shapes_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny data set, known to this process."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(shapes_root))
    return shapes_root


@pytest.fixture
def own_shapes(shapes_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of the tiny data set, to spoil; known to this process."""
    root = shutil.copytree(shapes_root, tmp_path / "datasets")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    return root / "shapes"


@pytest.fixture
def lengthen(own_shapes: Path) -> Callable[[str], None]:
    """``lengthen("train")``: makes an image of that part of ``own_shapes`` longer."""

    def append(part: str) -> None:
        first = min((own_shapes / "JPEGImages").glob(f"{part}_*"))
        first.write_bytes(first.read_bytes() + b"longer")

    return append


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the YAML config of a tiny network on `shapes`."""
    path = tmp_path_factory.mktemp("configs") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def make_cfg(tiny_config: Path, tmp_path: Path) -> Callable[..., Any]:
    """``make_cfg(KEY, VALUE, ...)``: the tiny config with options, frozen; output in tmp_path."""
    from auto_seg_loss.runtime.configs import load_config

    def make(*options: Any) -> Any:
        output = ["OUTPUT_DIR", str(tmp_path / "output")]
        cfg = load_config(str(tiny_config), output + [str(option) for option in options])
        cfg.freeze()
        return cfg

    return make


@pytest.fixture(scope="session")
def weights(tiny_config: Path, shapes_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny network that know the background from some of the objects."""
    import torch
    from detectron2.data import DatasetCatalog
    from detectron2.modeling import build_model

    from auto_seg_loss.runtime.configs import load_config
    from auto_seg_loss.train_loop import train

    cfg = load_config(str(tiny_config), ["SOLVER.MAX_ITER", "100"])
    torch.manual_seed(0)
    model = build_model(cfg)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETECTRON2_DATASETS", str(shapes_root))
        train(cfg, model, DatasetCatalog.get("shapes_sem_seg_train"), seed=0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save({"model": model.state_dict()}, path)
    return path


@dataclass
class Run:
    """A script that was started; `wait` for its end before looking at the rest."""

    server: ScriptServer
    pid: int
    out: Path
    err: Path
    status: int | None = None

    def wait(self) -> Run:
        if self.status is None:
            self.status = self.server.ask({"wait": self.pid})
        return self

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment of the script; fails when the script ends before it.

        How long that takes depends on the machine: pytest's time limit is the only one.
        """
        try:
            while not condition():
                over = self.server.ask({"has ended": self.pid})
                assert not over or condition(), f"it ended before; stderr:\n{self.stderr}"
                time.sleep(0.0005)
        except BaseException:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
            raise

    def stop_when(self, condition: Callable[[], bool], signum: int = signal.SIGKILL) -> Run:
        """Send the signal as soon as the condition holds."""
        self.wait_until(condition)
        os.kill(self.pid, signum)
        return self.wait()

    def interruption(self) -> list[str]:
        """The arguments of the command that a user is told to go on with, script first."""
        assert "Traceback" not in self.stderr, self.stderr
        (line,) = [row for row in self.stderr.splitlines() if row.startswith("interrupted")]
        what, _, command = line.partition("continue with: ")
        assert what == "interrupted; anything saved is kept; ", line
        _, script, *arguments = shlex.split(command)
        return [Path(script).name, *arguments]

    @property
    def stdout(self) -> str:
        return self.out.read_text()

    @property
    def stderr(self) -> str:
        return self.err.read_text()

    def assert_ok(self) -> Run:
        self.wait()
        assert self.status == 0, f"exit status {self.status}\n{self.stdout}\n{self.stderr}"
        return self

    def refusal(self) -> str:
        """What a user reads who made a mistake: ``error: ...``, status 2, no traceback."""
        self.wait()
        assert "Traceback" not in self.stderr, self.stderr
        assert self.status == 2, f"exit status {self.status}\n{self.stdout}\n{self.stderr}"
        assert self.stderr.count("error: ") == 1, self.stderr
        return self.stderr[self.stderr.index("error: ") :]


@dataclass
class ScriptServer:
    """Starts the project's scripts with the tiny data set; see helpers/script_server.py."""

    directory: Path
    datasets: Path
    _server: Any = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(SERVER)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._server = subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]
        assert int(self._server.stdout.readline()) > 0

    def ask(self, message: dict[str, Any]) -> int:
        print(json.dumps(message), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def start(
        self, script: str, *arguments: Any, directory: Path | None = None, **environment: str
    ) -> Run:
        """Start a script of projects/AutoSegLoss by name, in `directory` or one of the tests."""
        self._count += 1
        out, err = (self.directory / f"{self._count}.{kind}" for kind in ("out", "err"))
        job = {
            "script": str(PROJECT / script),
            "arguments": [str(argument) for argument in arguments],
            "directory": str(directory or self.directory),
            "environment": {"DETECTRON2_DATASETS": str(self.datasets), **environment},
            "stdout": str(out),
            "stderr": str(err),
        }
        return Run(self, self.ask({"start": job}), out, err)

    def run(self, script: str, *arguments: Any, **settings: Any) -> Run:
        """Start a script and wait for its end."""
        return self.start(script, *arguments, **settings).wait()

    def close(self) -> None:
        self._server.kill()  # has nothing to lose, and an orderly end takes seconds
        self._server.wait()
        self._server.stdin.close()
        self._server.stdout.close()


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory, shapes_root: Path) -> Iterator[ScriptServer]:
    """Runs the project's scripts on the tiny data set."""
    server = ScriptServer(tmp_path_factory.mktemp("scripts"), shapes_root)
    yield server
    server.close()
