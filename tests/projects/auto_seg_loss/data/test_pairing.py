"""auto_seg_loss.data.pairing: which label belongs to which image, by their names."""

from __future__ import annotations

import pytest

from auto_seg_loss.data.catalog import make_pair
from auto_seg_loss.data.pairing import paired_files, pairs_of_list


@pytest.fixture
def paired(tmp_path):
    """``paired(images, labels)``: {image: label} of two folders with these files."""

    def pair(images, labels, places=("i", "l")):
        folders = [tmp_path / place for place in places]
        for folder, names in zip(folders, (images, labels), strict=True):
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()
        files, known = paired_files(*folders)
        both = [(files[key], known[key]) for key in sorted(files.keys() & known.keys())]
        return {str(i.relative_to(folders[0])): str(k.relative_to(folders[1])) for i, k in both}

    return pair


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        # A label for some images alone: what these have in common is no end of the name.
        (["p1_0.png", "p1_1.png", "p2_0.png"], ["p1_0_m.png", "p1_1_m.png"], "0 1"),
        (["p1_0_x.png", "p2_0_x.png"], ["p1_0_m.png"], "0"),
        (["11_sat.png", "21_sat.png"], ["11_mask.png", "21_mask.png"], "0 1"),
        (["img_11.png", "img_21.png"], ["gt_11.png", "gt_21.png"], "0 1"),
        (["x.11.sat.png", "x.21.sat.png"], ["y-11.tif", "y-21.tif"], "0 1"),
        (["a.png", "a_b.png"], ["a_m.png", "a_b_m.png"], "0 1"),
        (["a_sat.png", "a_b_sat.png"], ["a.png", "a_b.png"], "0 1"),
        (["p1_s.png", "p1_left_s.png"], ["p1.png", "p1_left.png"], "0 1"),
        (["c/1.png", "d/1.png"], ["c/1.png", "d/1.png"], "0 1"),
        (["c/1_l8.png", "d/1_l8.png"], ["c/1_gt.png", "d/1_gt.png"], "0 1"),
        (["1/x.png", "2/x.png"], ["1/y.png", "2/y.png"], "0 1"),
        (["all/c1.png", "all/c2.png"], ["c1.png", "c2.png"], "0 1"),
        (["1.png", "2.png"], ["1_a.png", "1_b.png", "2_a.png"], ""),  # several labels
        (["19_1.png", "19_2.png"], ["20_1.png", "20_2.png"], ""),  # of another year
        (["19_1.png", "19_2.png"], ["gt_1_m.png", "gt_2_m.png"], "0 1"),
        (["a.png", ".b.png"], ["a.png", ".b.png"], "0"),
        (["a.png", "more/b.png"], ["a.png", "more/b.png"], "0"),  # not mixed
    ],
)
def test_labels_by_names(paired, images, labels, expected):
    assert paired(images, labels) == {images[int(i)]: labels[int(i)] for i in expected.split()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a (1).png", "a (1)_mask.png", "b.png"], {"a (1).png": "a (1)_mask.png"}),
        (["a_1.png", "a_2.png"], {}),
        (["a.png", "a_1.png"], {}),  # the second of a film, not a label
    ],
)
def test_images_and_labels_in_one_folder(paired, names, expected):
    assert paired(names, [], places=("i", "i")) == expected


def test_several_labels_of_an_image_are_no_pair(paired):
    assert not paired(["1_x.png", "2_x.png"], ["1_a.png", "1_b.png", "2_a.png", "2_b.png"])


@pytest.mark.parametrize("row", ["c/1", "c/1.png", "i/c/1.png", "i/c/1.png l/c/1.png"])
def test_a_list_names_files_in_folders(paired, tmp_path, row):
    paired(["c/1.png", "d/1.png"], ["c/1.png", "d/1.png"])
    (tmp_path / "list.txt").write_text(row)
    pair = make_pair("c/1", tmp_path / "i/c/1.png", tmp_path / "l/c/1.png")
    found = pairs_of_list(tmp_path / "list.txt", tmp_path / "i", tmp_path / "l", tmp_path)
    assert found == [pair]


def test_an_image_is_not_its_own_label(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is given as an image and as its own label"):
        make_pair("a", tmp_path / "a.png", tmp_path / "link.png")


def test_linked_folders_are_searched(tmp_path):
    for folder, name in (("real", "7.jpg"), ("labels/city", "7.png")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).touch()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "city").symlink_to(tmp_path / "real")
    images, labels = paired_files(tmp_path / "images", tmp_path / "labels")
    assert [*images] == [*labels] == ["city/7"]
