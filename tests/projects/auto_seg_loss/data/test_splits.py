"""auto_seg_loss.data.splits: reproducible halves in blocks, and no file in two sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auto_seg_loss.data import SplitError, assert_disjoint, carve, split_record


def pairs(count, folder="train"):
    return [
        {"file_name": f"{folder}/{i:04d}.jpg", "sem_seg_file_name": f"{folder}annot/{i:04d}.png"}
        for i in range(count)
    ]


def files(count, folder):
    """The same on the disk, each file with a length of its own."""
    made = pairs(count, folder)
    for item in made:
        for key, path in item.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(b"x" * (int(Path(path).stem) + len(key)))
    return made


def names(dicts):
    return [item["file_name"] for item in dicts]


@pytest.mark.parametrize("block", [1, 7])
def test_halves_are_disjoint_complete_and_sorted(block):
    search, holdout = carve(pairs(100), 0.25, seed=3, block=block)
    assert sorted(names(search) + names(holdout)) == names(pairs(100))
    assert names(search) == sorted(names(search)) and names(holdout) == sorted(names(holdout))
    blocks = [{int(name[6:10]) // block for name in names(half)} for half in (search, holdout)]
    assert not set.intersection(*blocks)
    assert_disjoint({"search": search, "holdout": holdout})


def test_equal_seeds_agree_in_any_order_and_others_differ():
    expected = carve(pairs(60), 0.3, seed=5, block=4)
    assert carve(pairs(60)[::-1], 0.3, seed=5, block=4) == expected
    assert any(carve(pairs(60), 0.3, seed=s, block=4) != expected for s in range(5))


def test_frozen_choice():
    # Written down with the first version: a journal's split must mean the same for ever.
    _, holdout = carve(pairs(8), 0.25, seed=0)
    assert names(holdout) == ["train/0002.jpg", "train/0004.jpg"]


def test_the_record_is_json_and_forgets_folders(tmp_path):
    here = files(10, f"{tmp_path}/train")
    record = split_record(*carve(here, 0.2, seed=0))
    elsewhere = split_record(*carve(files(10, f"{tmp_path}/other/train"), 0.2, seed=0))
    assert json.loads(json.dumps(record)) == record == elsewhere
    assert (record["search_images"], record["holdout_images"]) == (8, 2)
    assert len(record["holdout_names"]) == 2
    assert record != split_record(*carve(here, 0.4, seed=0))
    Path(here[2]["sem_seg_file_name"]).write_bytes(b"another")
    assert record != split_record(*carve(here, 0.2, seed=0))


def test_sets_that_meet_are_refused():
    sets = {"the first": pairs(9)[6:], "the second": pairs(9)[:4], "the third": pairs(9)[2:6]}
    words = r"the second and the third share 4 files: .*0002\.jpg.*disjoint"
    with pytest.raises(SplitError, match=words):
        assert_disjoint(sets)
    sets["the third"] = pairs(9)[4:6]
    assert_disjoint(sets)


def test_links_are_followed(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").touch()
    (tmp_path / "test").symlink_to(tmp_path / "train")
    first = [{"file_name": str(tmp_path / "train" / "a.jpg")}]
    second = [{"file_name": str(tmp_path / "test" / "a.jpg")}]
    with pytest.raises(SplitError, match=r"train/a\.jpg"):
        assert_disjoint({"the first": first, "the second": second})
