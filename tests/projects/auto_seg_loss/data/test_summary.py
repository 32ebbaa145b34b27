"""auto_seg_loss.data.summary: counts by hand."""

from __future__ import annotations

from auto_seg_loss.data.looks import Seen
from auto_seg_loss.data.summary import summary

LABELS = {"a": Seen(2, 4, {0: 6, 9: 2}), "b": Seen(4, 4, {0: 3, 2: 6, 7: 1, 9: 6})}


def test_shares_images_and_what_is_odd():
    text = summary("d", LABELS, ["ground", "sky", "tree"], ignore_label=9)
    lines = text.splitlines()
    assert lines[0] == "data set 'd': 2 labels, 2x4 to 4x4 (HxW) in 2 sizes, 33.333 % void"
    assert [line.split() for line in lines[3:6]] == [
        ["0", "ground", "56.250", "2"],  # 9 of 16 valid pixels
        ["1", "sky", "0.000", "0"],
        ["2", "tree", "37.500", "1"],
    ]
    assert lines[6:] == [
        "classes that never occur: sky",
        "values that are neither a class nor void: 7 (in 1 files)",
    ]


def test_nothing_odd_and_void_inside_the_classes():
    lines = summary("d", {"a": Seen(1, 4, {0: 3, 1: 1})}, ["void", "road"], 0).splitlines()
    assert lines[0].endswith("1x4 (HxW), 75.000 % void")
    assert [line.split() for line in lines[3:]] == [["1", "road", "100.000", "1"]]
