"""auto_seg_loss.data.cutting: groups stay together, rare classes come into the first part first."""

from __future__ import annotations

import pytest

from auto_seg_loss.data.cutting import cut, groups_of

SHARES = (0.6, 0.2, 0.2)


def pairs(*names):
    return [{"file_name": f"folder_9/{name}.jpg"} for name in names]


def stems(parts):
    return [[item["file_name"][9:-4] for item in part] for part in parts]


def many(count):
    return pairs(*(f"{i:03d}" for i in range(count)))


@pytest.mark.parametrize("seed", range(3))
def test_a_class_comes_into_the_first_part_first(seed):
    # Class 2 is in one image, class 1 in two, class 3 in five.
    classes = [{0}] * 12 + [{0, 2}, {0, 1}, {0, 1}] + [{0, 3}] * 5
    parts = cut(many(20), classes, SHARES, seed)
    held = [[classes[int(stem)] for stem in part] for part in stems(parts)]
    assert [len(part) for part in parts] == [12, 4, 4]
    counts = {value: [sum(value in one for one in part) for part in held] for value in (1, 2, 3)}
    assert counts[2] == [1, 0, 0] and counts[3] == [3, 1, 1]
    assert counts[1] in ([1, 1, 0], [1, 0, 1])


def test_equal_seeds_agree_in_any_order_and_others_differ():
    dicts, classes = many(40), [{i % 3} for i in range(40)]
    parts = cut(dicts, classes, SHARES, 7)
    assert cut(dicts[::-1], classes[::-1], SHARES, 7) == parts
    assert any(cut(dicts, classes, SHARES, seed) != parts for seed in range(3))


@pytest.mark.parametrize("seed", range(2))
def test_three_films_make_three_parts_of_whole_films(seed):
    names = [
        f"{film}-{i}" for film, count in (("a", 90), ("b", 50), ("c", 40)) for i in range(count)
    ]
    parts = stems(cut(pairs(*names), [{0}] * 180, SHARES, seed, "^[a-z]"))
    assert sorted(len(part) for part in parts) == [40, 50, 90] and len(parts[0]) == 90
    assert all(len({stem[0] for stem in part}) == 1 for part in parts)


@pytest.mark.parametrize(("groups", "found"), [(r"(\d+)_", "12"), (r"[a-z]\d", "a1"), ("x?", "")])
def test_the_group_is_the_first_bracket_or_all(groups, found):
    assert groups_of(pairs("a12_7"), groups) == [found]


def test_the_group_may_be_a_folder():
    nested = {"file_name": "/x/patient9/i/patient1/7.jpg", "image_id": "patient1/7"}
    assert groups_of([nested], r"patient(\d+)") == ["1"]
