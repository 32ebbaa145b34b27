"""search_setup.py: the space, the candidate's loss and the images that a search config names."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from auto_seg_loss.data import SplitError
from auto_seg_loss.search_setup import build_sets, build_space, candidate_spec

TRAIN, VAL, TEST = (f"shapes_sem_seg_{split}" for split in ("train", "val", "test"))
HOLDOUT = "SEARCH.HOLDOUT."


def names(dicts) -> list[str]:
    return [item["image_id"] for item in dicts]


def test_the_spec_has_the_settings_of_the_search(make_cfg):
    cfg = make_cfg(
        *("SEARCH.METRIC", "BIoU", "SEARCH.SURFACE", "linear", "SEARCH.PIECES", 3),
        *("SEARCH.ABSENT", "zero", "SEARCH.TOLERANCE", 2, "SEARCH.DROP_BACKGROUND", True),
        *("SEARCH.VOID_EDGES", True),
    )
    space = build_space(cfg)
    term = candidate_spec(cfg, space, space.identity()).terms[0]
    assert (term.metric, term.surface, term.pieces) == ("BIoU", "linear", 3)
    assert (term.absent, term.tolerance, term.drop_background) == ("zero", 2, True)
    assert term.void_edges
    np.testing.assert_allclose(space.theta(term.control_points), space.identity())


def test_search_set_and_hold_out_are_carved_from_train(shapes, make_cfg):
    search, holdout = build_sets(make_cfg(HOLDOUT + "FRACTION", 0.5))
    train, test = (names(DatasetCatalog.get(name)) for name in (TRAIN, TEST))
    assert len(holdout) == 4
    assert sorted(names(search) + names(holdout)) == sorted(train)
    assert not set(names(search) + names(holdout)) & set(test)


@pytest.mark.parametrize(
    "options, words",
    [
        (("DATASETS.TEST", f"('{TRAIN}',)"), "the search set and the test set share 12 files"),
        (
            (HOLDOUT + "DATASETS", f"('{VAL}',)", "DATASETS.TEST", f"('{TRAIN}',)"),
            "the search set and the test set share 16 files",
        ),
    ],
)
def test_sets_that_meet_are_refused(shapes, make_cfg, options, words):
    with pytest.raises(SplitError, match=words):
        build_sets(make_cfg(*options))
