"""settings.py, matrix.py: what is merged, cells, and what is refused."""

from __future__ import annotations

import shutil

import pytest

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.inspection import measures
from auto_seg_loss.study.matrix import check_study
from autoseg_core import PAPER_METRICS, RECOMMENDED, SpecError

SPEC = "voc-miou-bezier"
AXES = (
    *("STUDY.DATASETS", "['one: test.yaml', 'two: val.yaml']"),
    *("STUDY.NETWORKS", "['w: wide.yaml']"),
)


@pytest.fixture
def overlays(tmp_path):
    """Configs of two data sets and a network, beside the study's."""
    (tmp_path / "test.yaml").write_text('DATASETS:\n  TEST: ("shapes_sem_seg_test",)\n')
    (tmp_path / "val.yaml").write_text(
        '_BASE_: "test.yaml"\nDATASETS:\n  TEST: ("shapes_sem_seg_val",)\n'
        "INPUT:\n  MIN_SIZE_TEST: 40\n  FORMAT: 'BGR'\n"
        "SOLVER:\n  BASE_LR: 0.5\n  MAX_ITER: 8\nOUTPUT_DIR: 'elsewhere'\nSTUDY:\n  SEEDS: [7]\n"
    )
    (tmp_path / "wide.yaml").write_text(
        "MODEL:\n  SEM_SEG_HEAD:\n    CONVS_DIM: 12\n"
        "INPUT:\n  MIN_SIZE_TEST: 512\n  FORMAT: 'RGB'\nSOLVER:\n  BASE_LR: 0.7\n"
    )
    return tmp_path


@pytest.mark.parametrize("loss, kind", [("Dice", "dice"), (SPEC, "auto_seg_loss")])
def test_a_cell_is_a_training_of_one_loss_and_seed(make_study, tmp_path, loss, kind):
    cell = make_study("STUDY.LOSSES", [loss], "SOLVER.MAX_ITER", 77).cells[1]
    assert (kind, 2) == (cell.config.MODEL.SEM_SEG_HEAD.LOSS_TYPE, cell.config.SEED)
    assert cell.config.SOLVER.MAX_ITER == 77 == cell.trial.iterations
    label = {"Dice": "dice"}.get(loss, loss)
    assert str(tmp_path / "output" / label / "seed2") == cell.config.OUTPUT_DIR


def test_each_seed_may_have_a_start_of_its_own(make_study, weights, tmp_path):
    for seed in (1, 2):
        shutil.copy(weights, tmp_path / f"start-{seed}.pth")
    study = make_study("MODEL.WEIGHTS", tmp_path / "start-{seed}.pth")
    starts = {(cell.seed, cell.config.MODEL.WEIGHTS) for cell in study.cells}
    assert starts == {(seed, str(tmp_path / f"start-{seed}.pth")) for seed in (1, 2)}
    check_study(study)
    (tmp_path / "start-2.pth").unlink()
    with pytest.raises(ConfigError, match=r"start-2\.pth"):
        check_study(make_study("MODEL.WEIGHTS", tmp_path / "start-{seed}.pth"))


def test_the_target_comes_first_and_tolerances_have_names_of_their_own(make_study):
    study = make_study("STUDY.TOLERANCES", [2], "STUDY.TARGET", "BF1", "STUDY.BORDERS", True)
    rest = (name for name in PAPER_METRICS if name != "BF1")
    extra = ("BIoU@2", "BF1@2", "border_length", "jaggedness")
    assert measures(study.config) == ("BF1", *rest, *extra)


def test_whose_keys_hold_in_a_setting(make_study, overlays):
    own = "SOLVER:\n  MAX_ITER: 5\n  MOMENTUM: 0.5\n"  # of the study: over both, options over it
    options = ("STUDY.SEEDS", [1], "STUDY.LOSSES", ["dice"], "SOLVER.MOMENTUM", 0.25)
    one, two = make_study(*AXES, *options, own=own).cells
    assert str(two) == "two, w, dice, seed 1"
    assert str(overlays / "output" / "two" / "w" / "dice" / "seed1") == two.config.OUTPUT_DIR
    assert one.config.INPUT.MIN_SIZE_TEST == 512, "the data set has not set it"
    assert two.config.INPUT.MIN_SIZE_TEST == 40 and two.config.INPUT.FORMAT == "RGB"
    assert two.config.DATASETS.TEST == ("shapes_sem_seg_val",)
    assert two.config.MODEL.SEM_SEG_HEAD.CONVS_DIM == 12
    solver = two.config.SOLVER
    assert (solver.BASE_LR, solver.MAX_ITER, solver.MOMENTUM) == (0.7, 5, 0.25)


@pytest.mark.parametrize("entries", ["[{'one': 'test.yaml'}]", "['one : test.yaml']"])
def test_entries_may_stand_without_quotes(make_study, overlays, entries):
    (setting,) = make_study("STUDY.DATASETS", entries).settings
    assert setting.labels == ("one",)


MISTAKES = [
    (("STUDY.TARGET", "IoU"), "STUDY.TARGET"),
    (("STUDY.LOSSES", ["nothing"]), "'nothing'"),
    (("STUDY.LOSSES", ["miou", RECOMMENDED["mIoU"]]), r"STUDY\.LOSSES"),
    (("STUDY.LOSSES", []), r"STUDY\.LOSSES"),
    (("STUDY.TOLERANCES", [-1]), r"STUDY\.TOLERANCES"),
    (("DATASETS.TEST", "()"), r"DATASETS\.TEST"),
    (("STUDY.DATASETS", ["test.yaml"]), r"STUDY\.DATASETS .*'test\.yaml'"),
    (("STUDY.DATASETS", ["a/b: test.yaml"]), "'a/b: "),
    (("STUDY.DATASETS", ["a: broken.yaml"]), "a of STUDY.*NONSENSE"),
    (("STUDY.DATASETS", ["good: test.yaml", "bad: lost.yaml"]), "'nowhere'"),
]


@pytest.mark.parametrize("options, named", MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_names_its_key(make_study, overlays, options, named):
    (overlays / "broken.yaml").write_text("NONSENSE: 1\n")
    (overlays / "lost.yaml").write_text('DATASETS:\n  TEST: ("nowhere",)\n')
    with pytest.raises((ConfigError, SpecError), match=named):
        check_study(make_study(*options))
