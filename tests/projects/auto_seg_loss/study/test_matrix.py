"""matrix.py, settings.py, checks.py: cells, labels, what is merged, and what is refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study import (
    build_study,
    check_settings,
    check_study,
    overridden,
    read_study,
)
from auto_seg_loss.study.matrix import cell_config, loss_label, tolerance_names
from autoseg_core import PAPER_METRICS, RECOMMENDED, load_spec

SPEC = "voc-miou-bezier"


@pytest.mark.parametrize(
    "loss, kind, spec",
    [("hard_pixel_mining", "hard_pixel_mining", ""), (SPEC, "auto_seg_loss", SPEC)],
)
def test_a_cell_is_a_training_of_one_loss_and_seed(make_cfg, loss, kind, spec):
    cfg = make_cfg("SEED", 9, "SOLVER.MAX_ITER", 77)
    cell = cell_config(cfg, loss, 3)
    head = cell.MODEL.SEM_SEG_HEAD
    assert (kind, spec, 3) == (head.LOSS_TYPE, head.LOSS_SPEC, cell.SEED)
    assert cell.SOLVER.MAX_ITER == 77 and cell.is_frozen()
    assert cfg.SEED == 9, "the study's own config was changed"


def test_each_seed_may_have_a_start_of_its_own(make_study, weights, tmp_path):
    for seed in (1, 2):
        shutil.copy(weights, tmp_path / f"start-{seed}.pth")
    study = make_study("MODEL.WEIGHTS", tmp_path / "start-{seed}.pth")
    starts = {(cell.seed, cell.config.MODEL.WEIGHTS) for cell in study.cells}
    assert starts == {(seed, str(tmp_path / f"start-{seed}.pth")) for seed in (1, 2)}
    check_settings(study)
    (tmp_path / "start-2.pth").unlink()
    with pytest.raises(ConfigError, match=r"MODEL\.WEIGHTS .*start-2\.pth does not exist"):
        check_settings(study)


def test_cells_lie_below_loss_and_seed(make_study, tmp_path):
    places = [cell.directory for cell in make_study().cells]
    output = tmp_path / "output"
    losses = ("cross_entropy", SPEC)
    assert places == [output / loss / f"seed{seed}" for seed in (1, 2) for loss in losses]


def test_a_loss_of_a_file_is_named_as_it_calls_itself(tmp_path):
    spec = load_spec(SPEC).model_copy(update={"name": "my-loss"})
    spec.save(tmp_path / "searched_loss.json")
    assert loss_label(str(tmp_path / "searched_loss.json")) == "my-loss"


def test_a_metric_is_named_as_its_recommended_loss():
    assert loss_label("mIoU") == loss_label("miou") == RECOMMENDED["mIoU"]


def test_scores_at_tolerances_have_names_of_their_own(make_study):
    assert tolerance_names([1, 3]) == ["BIoU@1", "BF1@1", "BIoU@3", "BF1@3"]
    names = make_study("STUDY.TOLERANCES", "[2]", "STUDY.TARGET", "BF1").score_names
    assert names == ("BF1", *(name for name in PAPER_METRICS if name != "BF1"), "BIoU@2", "BF1@2")


# --- data sets and networks ---


@pytest.fixture
def overlays(tmp_path) -> Path:
    """A folder with configs of two data sets and a network."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "test.yaml").write_text('DATASETS:\n  TEST: ("shapes_sem_seg_test",)\n')
    (folder / "val.yaml").write_text(
        '_BASE_: "test.yaml"\nDATASETS:\n  TEST: ("shapes_sem_seg_val",)\n'
        "SOLVER:\n  BASE_LR: 0.5\n  MAX_ITER: 8\nOUTPUT_DIR: 'elsewhere'\nSTUDY:\n  SEEDS: [7]\n"
    )
    (folder / "wide.yaml").write_text("MODEL:\n  SEM_SEG_HEAD:\n    CONVS_DIM: 12\n")
    return folder


AXES = (
    "STUDY.DATASETS",
    "['one: test.yaml', 'two: val.yaml']",
    "STUDY.NETWORKS",
    "['w: wide.yaml']",
)


def test_axes_are_directories_and_are_merged_over_the_config(make_cfg, overlays, tmp_path):
    options = (*AXES, "STUDY.SEEDS", [1])
    study = build_study(make_cfg(*options), options, overlays)
    (one, two) = study.cells
    assert one.directory == tmp_path / "output" / "one" / "w" / "cross_entropy" / "seed1"
    assert str(two) == "two, w, cross_entropy, seed 1"
    assert [cell.config.DATASETS.TEST[0] for cell in study.cells] == [
        "shapes_sem_seg_test",
        "shapes_sem_seg_val",
    ]
    assert [cell.config.SOLVER.BASE_LR for cell in study.cells] == [0.05, 0.5]
    assert {cell.config.MODEL.SEM_SEG_HEAD.CONVS_DIM for cell in study.cells} == {12}
    assert two.config.SEED == 1 and two.config.SOLVER.MAX_ITER == 8


def test_options_win_over_data_sets_and_networks(make_cfg, overlays):
    options = (*AXES, "SOLVER.MAX_ITER", 3)
    study = build_study(make_cfg(*options), options, overlays)
    assert {cell.config.SOLVER.MAX_ITER for cell in study.cells} == {3}


SIZED = "INPUT:\n  MIN_SIZE_TEST: 36\n  CROP:\n    SIZE: [36, 36]\n"
SEVERAL = ("STUDY.DATASETS", "['d: sized.yaml']", "STUDY.NETWORKS", "['n: resizes.yaml']")


@pytest.mark.parametrize(
    "text, change",
    [
        ("INPUT:\n  MIN_SIZE_TEST: 512\n", r"INPUT\.MIN_SIZE_TEST: 36 -> 512"),
        ("INPUT:\n  CROP:\n    SIZE: [9, 9]\n", r"INPUT\.CROP\.SIZE: \[36, 36\] -> \[9, 9\]"),
        ('_BASE_: "val.yaml"\n', r'DATASETS\.TEST: \["shapes_\w+_test"\] -> \["shapes_\w+_val"\]'),
        ("TEST:\n  TOLERANCE: 2\n", r"TEST\.TOLERANCE: 3 -> 2"),
    ],
)
def test_a_network_may_not_change_what_a_data_set_has_set(make_cfg, overlays, text, change):
    sized = f'_BASE_: "test.yaml"\n{SIZED}TEST:\n  TOLERANCE: 3\n'
    (overlays / "sized.yaml").write_text(sized)
    (overlays / "resizes.yaml").write_text(text)
    words = rf"resizes\.yaml of STUDY\.NETWORKS changes what .*sized\.yaml .*:\n  {change}\nLeave"
    with pytest.raises(ConfigError, match=words):
        build_study(make_cfg(*SEVERAL), SEVERAL, overlays)


@pytest.mark.parametrize(
    "text, options",
    [
        ("INPUT:\n  MIN_SIZE_TEST: 36\n", ()),  # the same
        ("INPUT:\n  MAX_SIZE_TEST: 99\nTEST:\n  TOLERANCE: 2\n", ()),  # not the data set's
        ("INPUT:\n  FORMAT: 'RGB'\n", ()),  # goes with the network's weights
        ("INPUT:\n  MIN_SIZE_TEST: 512\n", ("INPUT.MIN_SIZE_TEST", 40)),
    ],
    ids=["the same", "not set", "colours", "options"],
)
def test_what_a_network_may_change(make_cfg, overlays, text, options):
    (overlays / "sized.yaml").write_text(f"{SIZED}  FORMAT: 'BGR'\n")
    (overlays / "resizes.yaml").write_text(text)
    options = (*SEVERAL, *options)
    build_study(make_cfg(*options), options, overlays)


def test_the_only_data_set_is_the_studys_own_to_change(make_cfg, overlays):
    (overlays / "resizes.yaml").write_text(SIZED)
    study = build_study(make_cfg(*SEVERAL[2:]), SEVERAL[2:], overlays)
    assert study.cells[0].config.INPUT.CROP.SIZE == [36, 36]


def test_paths_are_relative_to_the_config_and_may_stand_without_quotes(overlays, tiny_config):
    (overlays / "study.yaml").write_text(
        f'_BASE_: "{tiny_config}"\n'
        'STUDY:\n  DATASETS:\n    - one: test.yaml\n    - "two: val.yaml"\n'
    )
    study = read_study(str(overlays / "study.yaml"), ["STUDY.SEEDS", "[4]"])
    assert [cell.run for cell in study.cells] == [
        "one/cross_entropy/seed4",
        "two/cross_entropy/seed4",
    ]


def test_what_of_the_own_file_does_not_hold_is_said(overlays, tiny_config):
    path = overlays / "study.yaml"
    path.write_text(
        f'_BASE_: "{tiny_config}"\nSOLVER:\n  MAX_ITER: 7\n  BASE_LR: 0.5\n'
        'STUDY:\n  DATASETS: ["one: test.yaml", "two: val.yaml"]\n'
    )
    study = read_study(str(path), [])
    (line,) = overridden(study.config, study.settings, str(path))
    assert line == f"two overrides what {path} sets: SOLVER.MAX_ITER: 7 -> 8"
    study = read_study(str(path), ["SOLVER.MAX_ITER", "9"])
    assert overridden(study.config, study.settings, str(path)) == []


def test_a_journal_that_is_no_file_is_named(make_cfg, tmp_path):
    with pytest.raises(ConfigError, match=r"STUDY\.JOURNAL .*nothing\.jsonl is no file"):
        build_study(make_cfg("STUDY.JOURNAL", tmp_path / "nothing.jsonl"))


@pytest.mark.parametrize(
    "entries, words",
    [
        ("['test.yaml']", r"expects entries \"label: config\.yaml\", got 'test\.yaml'"),
        ("[{'a': 'test.yaml', 'b': 'val.yaml'}]", "expects entries"),
        ("[3]", "expects entries"),
        ("['a: test.yaml', 'a: val.yaml']", r"different labels, got \['a', 'a'\]"),
        ("['a/b: test.yaml']", "a label names a directory: letters.*got 'a/b'"),
        ("['tensorboard: test.yaml']", "none of tensorboard, losses; got 'tensorboard'"),
        ("['a: none.yaml']", r"none\.yaml.*no such config file"),
        ("['a: broken.yaml']", r"broken\.yaml: Non-existent config key: NONSENSE"),
    ],
)
def test_axes_that_cannot_be_read_are_refused(make_cfg, overlays, entries, words):
    (overlays / "broken.yaml").write_text("NONSENSE: 1\n")
    with pytest.raises(ConfigError, match=words):
        build_study(make_cfg("STUDY.DATASETS", entries), (), overlays)


def test_a_mistake_of_a_data_set_names_it(make_cfg, overlays, shapes):
    (overlays / "lost.yaml").write_text('DATASETS:\n  TEST: ("nowhere",)\n')
    options = ("STUDY.DATASETS", "['good: test.yaml', 'bad: lost.yaml']")
    study = build_study(make_cfg(*options), options, overlays)
    check_study(study)
    with pytest.raises(ConfigError, match=r"^bad: Unknown data set 'nowhere'"):
        check_settings(study)


@pytest.mark.parametrize("axis", ["DATASETS", "NETWORKS"])
def test_modules_that_a_data_set_or_network_names_are_imported(
    make_cfg, overlays, monkeypatch, axis
):
    module = overlays / "my_data_set_or_network.py"
    module.write_text("")
    (overlays / "mine.yaml").write_text('IMPORTS: ["my_data_set_or_network"]\n')
    options = (f"STUDY.{axis}", "['mine: mine.yaml']")
    with pytest.raises(ConfigError, match=r"IMPORTS \['my_data_.*; is it on the PYTHONPATH"):
        build_study(make_cfg(*options), options, overlays)
    monkeypatch.syspath_prepend(overlays)
    try:
        build_study(make_cfg(*options), options, overlays)
        assert "my_data_set_or_network" in sys.modules
    finally:
        sys.modules.pop("my_data_set_or_network", None)


def test_settings_must_have_the_same_scores(make_cfg, overlays):
    (overlays / "dice.yaml").write_text('TEST:\n  METRICS: ("Dice",)\n')
    options = ("STUDY.DATASETS", "['one: test.yaml', 'two: dice.yaml']")
    with pytest.raises(ConfigError, match=r"TEST\.METRICS must be the same"):
        check_study(build_study(make_cfg(*options), options, overlays))


# --- what is refused ---


@pytest.mark.parametrize(
    "options, words",
    [
        (("STUDY.TARGET", "Dice"), r"STUDY\.TARGET 'Dice' is not scored; .* TEST\.METRICS"),
        (("STUDY.LOSSES", "['nothing']"), r"STUDY\.LOSSES: Unknown loss 'nothing'"),
        (("STUDY.LOSSES", f"['miou', '{RECOMMENDED['mIoU']}']"), "must name different losses"),
        (("STUDY.LOSSES", "[]"), r"STUDY\.LOSSES is empty"),
        (("STUDY.SEEDS", "[]"), "SEEDS is empty"),
        (("STUDY.SEEDS", "[1, 1]"), "must differ"),
        (("STUDY.SEEDS", "[-1]"), "whole numbers >= 0"),
        (("STUDY.SEEDS", "[True]"), "whole numbers >= 0"),
        (("OUTPUT_DIR", ""), "OUTPUT_DIR is empty"),
        (("SOLVER.MAX_ITER", 0), r"SOLVER\.MAX_ITER must be 1 or more"),
        (("STUDY.TOLERANCES", "[1, 1]"), "different whole numbers >= 0"),
        (("STUDY.TOLERANCES", "[0.5]"), "different whole numbers >= 0"),
        (("STUDY.IMAGES", -1), r"STUDY\.IMAGES >= 0, got -1"),
        (("DATASETS.TEST", "()"), "A study scores one data set"),
        (("SEARCH.EXECUTOR.NAME", "slow"), "'slow'; known: serial, ray"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value[0]}={value[1]}",
)
def test_mistakes_are_refused(make_study, options, words):
    with pytest.raises(ConfigError, match=words):
        check_study(make_study(*options))


def test_no_loss_may_be_called_like_a_folder_of_the_study(make_study, tmp_path):
    path = tmp_path / "found.json"
    load_spec(SPEC).model_copy(update={"name": "tensorboard"}).save(path)
    with pytest.raises(ConfigError, match="No loss of a study may be called 'tensorboard'"):
        check_study(make_study("STUDY.LOSSES", f"['{path}']"))


def test_networks_on_the_same_data_look_at_its_files_once(make_cfg, overlays, shapes, monkeypatch):
    from auto_seg_loss.study import checks

    looked = []
    monkeypatch.setattr(checks, "DATA_CHECKS", (lambda cfg: looked.append(cfg.DATASETS.TEST),))
    options = (*AXES[:2], "STUDY.NETWORKS", "['narrow: test.yaml', 'w: wide.yaml']")
    (overlays / "test.yaml").write_text("VERSION: 2\n")
    (overlays / "val.yaml").write_text('DATASETS:\n  TEST: ("shapes_sem_seg_val",)\n')
    check_settings(build_study(make_cfg(*options), options, overlays))
    assert looked == [("shapes_sem_seg_test",), ("shapes_sem_seg_val",)]
