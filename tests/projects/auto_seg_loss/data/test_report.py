"""auto_seg_loss.data.report: counts by hand."""

from __future__ import annotations

from auto_seg_loss.data.file_scan import Seen
from auto_seg_loss.data.report import summary

LABELS = {"a": Seen(2, 4, {0: 6, 9: 2}), "b": Seen(4, 4, {0: 3, 2: 6, 7: 1, 9: 6})}


def test_shares_images_and_what_is_odd_of_sets_side_by_side():
    sets = {"x_sem_seg_train": LABELS, "x_sem_seg_test": {"c": Seen(1, 4, {1: 1, 2: 3})}}
    lines = summary(sets, ["ground", "sky", "tree", "car"], 9).splitlines()
    first = "data set 'x_sem_seg_train': 2 labels, 2x4 to 4x4 (HxW) in 2 sizes, 33.333 % void"
    assert lines[0] == first
    assert lines[1].startswith("data set 'x_sem_seg_test': 1 labels, 1x4 (HxW), 0.000 % void")
    assert lines[2].split() == ["value", "class", "train", "test"]
    assert [line.split() for line in lines[5:9]] == [
        ["0", "ground", "56.250", "2", "0", "0"],  # 9 of 16 valid pixels
        ["1", "sky", "0", "0", "25.000", "1"],
        ["2", "tree", "37.500", "1", "75.000", "1"],
        ["3", "car", "0", "0", "0", "0"],
    ]
    assert "x_sem_seg_test: classes that never occur: ground, car" in lines
    assert "x_sem_seg_train: classes that never occur: sky, car" in lines
    odd = "values that are neither a class nor void: 7 (in 1 files)"
    assert f"x_sem_seg_train: {odd}" in lines
