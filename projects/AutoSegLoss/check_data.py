"""Check the data sets of a config, and print what their labels hold.

    python projects/AutoSegLoss/check_data.py --config-file CONFIG [KEY VALUE ...]

For each of DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST: sizes, pixels and images of
each class, classes that never occur, values that are no class. The status is 2 when files are
missing, damaged or of other values than the classes, images black, or labels without anything to
learn; the message names them.
"""

from __future__ import annotations

import auto_seg_loss  # noqa: F401  isort: skip  (before Detectron2: quiets warnings of its import)
from detectron2.data import MetadataCatalog

from auto_seg_loss.data.summary import summary
from auto_seg_loss.preflight import check_data, load_config, look_at_data, script_parser
from auto_seg_loss.user_errors import explain_user_errors


def main() -> None:
    """Print all summaries, then refuse what is wrong."""
    arguments = script_parser(__doc__).parse_args()
    with explain_user_errors():
        cfg = load_config(arguments.config_file, arguments.opts)
        names = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
        for name in dict.fromkeys(names):
            labels, metadata = look_at_data(cfg, name), MetadataCatalog.get(name)
            ignore_label = metadata.get("ignore_label", 255)
            print(summary(name, labels, metadata.stuff_classes, ignore_label), end="\n\n")
        for name in dict.fromkeys(names):
            check_data(cfg, name)


if __name__ == "__main__":
    main()
