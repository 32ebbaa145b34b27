r"""Predict images: write a picture with the classes overlaid, and a label file, for each.

    python projects/AutoSegLoss/demo.py --config-file CONFIG --input FILE|DIRECTORY|PATTERN ... \
        --output DIRECTORY --opts MODEL.WEIGHTS FILE [KEY VALUE ...]

Writes NAME_overlay.png and NAME_labels.png, a palette PNG of class indices, both as large as the
image. The arguments are those of Detectron2's demo, without the confidence threshold, which has no
meaning here, and without videos and cameras: split a film into images first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import PIL.Image
from tqdm import tqdm

from auto_seg_loss.data import read_image
from auto_seg_loss.prediction import Predictor, find_images, write_labels
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.scripts import explain_user_errors
from auto_seg_loss.visualize import overlay
from autoseg_core.files import user_path


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, metavar="FILE", help="YAML config of the network")
    add("--input", required=True, nargs="+", help="files, directories, or quoted patterns")
    add("--output", required=True, type=user_path, metavar="DIRECTORY", help="created if missing")
    add("--alpha", type=float, default=0.5, help="opacity of the overlay (default: %(default)s)")
    add("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs; must come last")
    return parser.parse_args()


def main() -> None:
    """Predict every image that can be read, then name those that cannot."""
    arguments = parse_arguments()
    with explain_user_errors():
        cfg = load_config(arguments.config_file, arguments.opts)
        cfg.freeze()
        images = find_images(arguments.input)
        predictor = Predictor(cfg)
        arguments.output.mkdir(parents=True, exist_ok=True)
        unreadable = predict(predictor, images, arguments.output, arguments.alpha)
        print(f"{len(images) - len(unreadable)} of {len(images)} images are in {arguments.output}")
        if unreadable:
            raise OSError("\n  ".join(["these images cannot be read:", *unreadable]))


def predict(predictor: Predictor, images: list[Path], output: Path, alpha: float) -> list[str]:
    """Write overlay and labels of each image; a line for each that could not be read."""
    unreadable = []
    for path in tqdm(images, disable=None):
        try:
            picture, labels = read_image(str(path), "RGB"), predictor(path)
        except OSError as error:
            unreadable.append(str(error))
            continue
        drawn = overlay(picture, labels, predictor.colours, alpha)
        PIL.Image.fromarray(drawn).save(output / f"{path.stem}_overlay.png")
        write_labels(output / f"{path.stem}_labels.png", labels, predictor.colours)
    return unreadable


if __name__ == "__main__":
    main()
