"""demo_shapes.py: the whole path, on an even smaller budget than `--budget small`."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from autoseg_core import PAPER_METRICS, load_spec

SCRIPT = Path(__file__).parents[2] / "projects" / "AutoSegLoss" / "demo_shapes.py"
TINY_SEARCH = shlex.split(
    "SEARCH.ROUNDS 1 SEARCH.SAMPLES 2 SEARCH.PROXY.MAX_ITER 1 SEARCH.WARM_START.MAX_ITER 2 "
    "SEARCH.SELECTION.TOP_K 1 SEARCH.SELECTION.RESEEDS 2 SEARCH.HOLDOUT.FRACTION 0.05"
)
TINY_STUDY = ["SOLVER.MAX_ITER", "1", "STUDY.SEEDS", "[1, 2]"]


@pytest.fixture
def demo(scripts, tmp_path, monkeypatch) -> ModuleType:
    """The script as a module that starts its steps through ``scripts``, to save their imports."""
    spec = importlib.util.spec_from_file_location("demo_under_test", SCRIPT)
    assert spec is not None and spec.loader is not None
    monkeypatch.chdir(tmp_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SMALL_SEARCH", TINY_SEARCH)
    monkeypatch.setattr(module, "SMALL_STUDY", TINY_STUDY)

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        _, script, *arguments = command
        sets = env.get("DETECTRON2_DATASETS", "nowhere")
        step = scripts.run(
            os.path.abspath(script), *arguments, directory=tmp_path, DETECTRON2_DATASETS=sets
        )
        print(step.stdout)
        print(step.stderr, file=sys.stderr)
        return subprocess.CompletedProcess(command, step.status)

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def test_it_prints_the_table_and_files_that_exist_and_goes_on_where_it_stopped(
    demo, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(sys, "argv", ["demo_shapes.py", "--budget", "small"])
    demo.main()
    text = capfd.readouterr().out
    commands = re.findall(r"^\$ .*?/python (\S+)", text, re.MULTILINE)
    names = ["make_shapes.py", "search_net.py", "study_net.py"]
    assert [Path(command).name for command in commands] == names
    assert all(Path(command).is_file() for command in commands)
    head, first, middle, last = re.findall(r"^\| *\w.*$", text, re.MULTILINE)
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "loss",
        "seeds",
        *PAPER_METRICS,
    ]
    assert first.startswith("| cross_entropy")
    assert middle.startswith("| shapes-miou-bezier-identity")
    assert last.startswith("| shapes-miou-bezier ")
    assert first.count("±") == middle.count("±") == last.count("±") == 6
    listed = re.findall(r"^  (\S+): ", text.partition("Files:")[2], re.MULTILINE)
    assert len(listed) >= 5 and all(Path(path).exists() for path in listed)
    assert load_spec(Path("output/demo-small/search/searched_loss.json")).terms[0].metric == "mIoU"

    (record,) = tmp_path.rglob("study/trials.jsonl")
    trials = record.read_text()
    assert len(trials.splitlines()) == 1 + 6
    demo.main()
    again = capfd.readouterr().out
    assert re.findall(r"^\| *\w.*$", again, re.MULTILINE) == [head, first, middle, last]
    assert record.read_text() == trials


def test_the_small_budget_is_small_and_known_to_the_config():
    from auto_seg_loss.runtime.configs import load_config

    spec = importlib.util.spec_from_file_location("demo_as_it_is", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, options in (("search", module.SMALL_SEARCH), ("study", module.SMALL_STUDY)):
        path = str(SCRIPT.parent / "configs" / "shapes" / f"{name}-miou.yaml")
        full, small = load_config(path, []), load_config(path, options)
        if name == "search":
            assert small.SEARCH.ROUNDS * small.SEARCH.SAMPLES * small.SEARCH.PROXY.MAX_ITER <= (
                full.SEARCH.ROUNDS * full.SEARCH.SAMPLES * full.SEARCH.PROXY.MAX_ITER / 10
            )
        else:
            assert small.SOLVER.MAX_ITER < full.SOLVER.MAX_ITER
