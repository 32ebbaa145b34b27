"""Check the data sets of a config, and print what their labels hold.

    python projects/AutoSegLoss/check_data.py --config-file CONFIG [KEY VALUE ...]

For DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST: sizes, pixels and images of each
class, void, classes that never occur, values that are not a class; files of DATASETS.FOLDER that
are left out; neighbouring images in different parts that look like frames of one film. The status
is 2 if files are missing, damaged or have values that are not classes, images are black, or labels
have nothing to learn; the message names them.
"""

from __future__ import annotations

from auto_seg_loss.data.catalog import data_sets
from auto_seg_loss.data.report import data_report
from auto_seg_loss.data.verify import check_data
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.scripts import explain_user_errors, script_parser


def main() -> None:
    arguments = script_parser(__doc__).parse_args()
    with explain_user_errors():
        cfg = load_config(arguments.config_file, arguments.opts)
        print(data_report(cfg))
        for name in data_sets(cfg):
            check_data(cfg, name)


if __name__ == "__main__":
    main()
