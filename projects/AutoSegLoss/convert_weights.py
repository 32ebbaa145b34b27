r"""Convert weights of another library for MODEL.WEIGHTS: a backbone for the network of a config.

    python projects/AutoSegLoss/convert_weights.py --config-file CONFIG --input FILE --output FILE \
        [KEY VALUE ...]

The input is a file from torch.save or safetensors: a torchvision ResNet, a timm network, or one
whose tensors have other names but the order and shapes of the config's backbone. Nothing is written
unless every tensor of the backbone is found. configs/README.md has examples.
"""

from __future__ import annotations

from auto_seg_loss.modeling.build import network_on_meta
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.runtime.scripts import explain_user_errors, script_parser
from auto_seg_loss.weights import converted, read_checkpoint
from autoseg_core.files import save_whole, user_path


def main() -> None:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("--input", required=True, type=user_path, metavar="FILE", help="weight file")
    add("--output", required=True, type=user_path, metavar="FILE", help=".pth file to write")
    arguments = parser.parse_args()
    with explain_user_errors():
        if arguments.output.exists():
            raise ConfigError(f"--output {arguments.output} exists; name another file.")
        with config_errors():
            ours = network_on_meta(load_config(arguments.config_file, arguments.opts)).state_dict()
        state = read_checkpoint(arguments.input)["model"]
        way, found = converted(state, ours)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        save_whole({"model": found}, arguments.output)
    print(
        f"{way}: all {len(found)} tensors of the backbone, of {len(state)} in the file; set "
        f"MODEL.WEIGHTS {arguments.output}"
    )


if __name__ == "__main__":
    main()
