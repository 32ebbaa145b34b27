"""The shipped studies, each on a small twin: tiny images, networks and trainings by options.

What a study needs from searches is made here: specs of the spaces that its searches would have.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from auto_seg_loss.preflight import load_config
from auto_seg_loss.run_record import sole_run
from auto_seg_loss.study import check_settings, check_study, read_study, run_study
from autoseg_core import Constraints, LossSpec, search_space

CONFIGS = Path(__file__).parents[2] / "projects" / "AutoSegLoss" / "configs"
JOURNALS = Path(__file__).parents[2] / "docs" / "journals"

TINY = {
    "MODEL.WEIGHTS": "",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.SMALL_RESNET.BLOCKS": [1, 1, 1, 1],
    "MODEL.SMALL_RESNET.CHANNELS": [8, 12, 16, 20],
    "MODEL.SEM_SEG_HEAD.NUM_CLASSES": 7,
    "MODEL.SEM_SEG_HEAD.ASPP_CHANNELS": 8,
    "DATASETS.TRAIN": "('shapes_sem_seg_train',)",
    "DATASETS.TEST": "('shapes_sem_seg_test',)",
    "INPUT.CROP.SIZE": [32, 32],
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 1,
    "VIS_PERIOD": 0,
    "STUDY.SEEDS": [1],
    "STUDY.IMAGES": 1,
    "STUDY.CANDIDATES": 3,
}

# Study -> the searched losses it names, as constraints, pieces and metric of their space.
MIOU = search_space("mIoU")
FREE = {
    "both": Constraints(True, True),
    "only-truth-table": Constraints(True, False),
    "only-monotone": Constraints(False, True),
    "neither": Constraints(False, False),
}
SEARCHED = {
    "camvid-losses": {"output/shapes/search-miou": MIOU},
    "shapes-to-camvid": {"output/shapes/search-miou": MIOU},
    "camvid-to-shapes": {"output/shapes/search-miou": MIOU},
    "constraints": {
        f"output/study/constraints/searches/{name}": search_space("mIoU", "bezier", None, free)
        for name, free in FREE.items()
    },
    "pieces": {
        f"output/study/pieces/searches/{n}": search_space("mIoU", "bezier", n) for n in (1, 2, 3, 4)
    },
    "bf1-tolerance": {
        f"output/study/bf1-tolerance/searches/{radius}": search_space("mIoU+BF1")
        for radius in (1, 3, 5)
    },
}
NAMES = sorted(path.stem for path in (CONFIGS / "study").glob("*.yaml"))
STUDIES = [name for name in NAMES if not name.startswith("Base-")]
# Their twins are configs of their own: small-*.
LARGE = ["deeplab-to-pspnet-hrnet", "voc-to-cityscapes"]
SMALL = [f"small-{name}" for name in LARGE]


@pytest.fixture
def place(shapes, tmp_path, monkeypatch) -> Path:
    """A folder that looks like the repository's after all searches."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "journals").symlink_to(JOURNALS)
    (tmp_path / "projects").symlink_to(CONFIGS.parents[1])
    for searches in SEARCHED.values():
        for folder, space in searches.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            for kind in ("searched", "identity"):
                name = f"{kind}-{Path(folder).name}"
                spec = LossSpec.from_theta(name, space, space.identity(), tolerance=1)
                spec.save(tmp_path / folder / f"{kind}_loss.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in LARGE])
def test_every_study_runs_on_its_small_twin(place, name):
    """What study_net.py does, without the seconds of its start; the script: test_study_net.py."""
    if name in ("camvid-losses", "camvid-starts"):
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra [baselines]")
    # Their losses are those of metric-to-metric: here it is the axes that matter.
    two = {"STUDY.LOSSES": ["cross_entropy", "voc-miou-bezier"]} if name in SMALL else {}
    options = [str(item) for pair in (TINY | two).items() for item in pair]
    study = read_study(str(CONFIGS / "study" / f"{name}.yaml"), options)
    check_study(study)
    check_settings(study)
    with sole_run(study.config, "study"):
        assert run_study(study).failures == ()
    output = place / "output" / "study" / name
    with (output / "cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    labels = {(cell["dataset"], cell["network"], cell["loss"]) for cell in cells}
    assert len(labels) == len(cells) >= 3
    assert all((output / f"{picture}.png").is_file() for picture in ("heatmap", "bars", "borders"))


@pytest.mark.parametrize("name", LARGE)
def test_the_studies_of_the_paper_and_their_twins_compare_the_same(name):
    """The data and weights of the large ones are not here; their cells are made all the same."""
    large, small = (
        read_study(str(CONFIGS / "study" / f"{prefix}{name}.yaml"), []) for prefix in ("", "small-")
    )
    assert list(large.labels()) == list(small.labels())
    assert len(large.cells) == len(small.cells) == len(large.settings) * len(large.losses) * 3
    assert len({cell.directory for cell in large.cells}) == len(large.cells)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_compares_with_cross_entropy(name):
    cfg = load_config(str(CONFIGS / "study" / f"{name}.yaml"), [])
    assert cfg.STUDY.LOSSES[0] == "cross_entropy" and len(cfg.STUDY.SEEDS) >= 3
    assert Path(cfg.OUTPUT_DIR) == Path("output/study") / name


def test_the_data_sets_of_the_paper_are_scored_as_their_own_configs_say():
    """Nothing of the one leaks into the other, whichever the study is based on."""
    study = read_study(str(CONFIGS / "study" / "voc-to-cityscapes.yaml"), [])
    for setting, file in zip(
        study.settings, ("voc/Base-VOC.yaml", "cityscapes/Base-Cityscapes.yaml"), strict=True
    ):
        own = load_config(str(CONFIGS / file), [])
        own.STUDY, own.OUTPUT_DIR = setting.config.STUDY, setting.config.OUTPUT_DIR
        assert own.dump() == setting.config.dump()


def test_the_networks_of_the_paper_share_data_and_schedule():
    study = read_study(str(CONFIGS / "study" / "deeplab-to-pspnet-hrnet.yaml"), [])
    heads = [setting.config.MODEL.SEM_SEG_HEAD for setting in study.settings]
    assert [head.NAME for head in heads] == [
        "AnyLossDeepLabV3PlusHead",
        "AnyLossPSPHead",
        "AnyLossFCNHead",
    ]
    assert {(head.NUM_CLASSES, head.NORM) for head in heads} == {(21, "SyncBN")}
    for node in ("SOLVER", "DATASETS", "TEST"):
        assert len({str(setting.config[node]) for setting in study.settings}) == 1
    assert [setting.config.MODEL.WEIGHTS for setting in study.settings[1:]] == [
        "detectron2://DeepLab/R-103.pkl",
        "",
    ]
