"""datasets/preparation.py: whole files only, collected problems, an orderly end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import preparation
import pytest
from PIL import Image
from preparation import Job, holds, make_labels, write_label

LABEL = np.array([[0, 1, 255], [2, 1, 0]], dtype=np.uint8)


@pytest.mark.parametrize(("palette", "mode"), [(True, "P"), (False, "L")])
def test_a_file_holds_its_label_or_is_made_anew(tmp_path, palette, mode):
    path = tmp_path / "folder" / "a.png"
    assert not holds(path, LABEL, palette)
    write_label(path, LABEL, palette)
    with Image.open(path) as picture:
        assert picture.mode == mode
    assert holds(path, LABEL, palette) and not holds(path, LABEL, not palette)
    assert not holds(path, LABEL + np.uint8(1), palette)
    assert not holds(path, LABEL[:1], palette)
    path.write_bytes(path.read_bytes()[:50])
    assert not holds(path, LABEL, palette)


def test_problems_of_files_are_collected_and_counted(tmp_path, capsys):
    def broken(path):
        raise KeyError(path.name)

    options = preparation.script_parser("prepare_x", "", "x").parse_args(["--partial"])
    jobs = {f"{i:02d}": Job(tmp_path / f"{i:02d}", broken) for i in range(13)}
    jobs["b"] = Job(tmp_path, lambda path: LABEL, tmp_path / "b.png")
    more = {**jobs, "c": Job(tmp_path, broken)}
    first, *files, last = make_labels("all", {*jobs, "d", "e"}, more, 14, options)
    assert capsys.readouterr().out == "all: 1 written, 0 right already\nall: 14 of 14 images\n"
    assert first == "3 images or labels of all are unmatched: c, d, e"
    assert files == [f"{tmp_path}/{i:02d}: '{i:02d}'" for i in range(10)]
    assert last == "all: 3 more files like these"


def test_ctrl_c_says_how_to_go_on(capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    parser = preparation.script_parser("prepare_x", "", "x")
    assert preparation.run_script(parser, interrupted, []) == 130
    assert "run it again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script", sorted(path.stem for path in Path(preparation.__file__).parent.glob("prepare_*.py"))
)
def test_a_missing_set_is_one_line(script, tmp_path, prepare):
    if script == "prepare_cityscapes":
        pytest.importorskip("cityscapesscripts", reason="needs the extra [datasets]")
    done = prepare(script, tmp_path)
    assert done.status == 1 and done.err.startswith(f"{script}: {tmp_path}")
    assert done.err.count("\n") == 1
