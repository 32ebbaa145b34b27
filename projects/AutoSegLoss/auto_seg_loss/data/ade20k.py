"""ADE20K in the 150 classes of the scene parsing challenge of 2016, as Detectron2 lays it out.

Source: B. Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017; 20210 train and 2000 val
images. In the labels read here (annotations_detectron2/, made by datasets/prepare_ade20k.py) 0 is
the first class and 255 is everything else.
"""

from __future__ import annotations

from detectron2.data.datasets.builtin_meta import ADE20K_SEM_SEG_CATEGORIES

from .catalog import Pairs, dataset_folder, folder_pairs, register_splits, unregister
from .voc import voc_colours

# Detectron2 knows the names. The colours are VOC's, from index 1 on: nothing here is background.
CLASSES = dict(
    zip(
        ADE20K_SEM_SEG_CATEGORIES,
        voc_colours(1 + len(ADE20K_SEM_SEG_CATEGORIES))[1:],
        strict=True,
    )
)
IGNORE_LABEL = 255
FOLDERS = {"train": "training", "val": "validation"}
REMEDY = (
    "Put the set there (images/, annotations/; see datasets/README.md), or let "
    "DETECTRON2_DATASETS name the directory that holds ADEChallengeData2016/."
)


def load_ade20k(split: str) -> Pairs:
    """The pairs of "train" or "val", sorted by name."""
    folder = dataset_folder("ADEChallengeData2016", REMEDY)
    labels = folder / "annotations_detectron2" / FOLDERS[split]
    try:
        return folder_pairs(folder / "images" / FOLDERS[split], labels)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The labels are made by: python datasets/prepare_ade20k.py "
            f"--root {folder.parent}"
        ) from None


# Detectron2's own entries take what pairs up of a damaged set, have no colours, and folders fixed
# at import.
for _split in FOLDERS:
    unregister(f"ade20k_sem_seg_{_split}")
register_splits(
    "ade20k", load_ade20k, classes=CLASSES, ignore_label=IGNORE_LABEL, splits=tuple(FOLDERS)
)
