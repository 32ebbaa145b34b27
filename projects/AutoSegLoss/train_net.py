r"""Train a segmentation network with any loss of the registry, and score it on DATASETS.TEST.

--resume continues the training in OUTPUT_DIR. --eval-only scores MODEL.WEIGHTS, or with --resume
the last checkpoint, with the protocols `strict` and `paper` side by side.

    python projects/AutoSegLoss/train_net.py --num-gpus 8 \
        --config-file projects/AutoSegLoss/configs/voc/train-ce.yaml OUTPUT_DIR output/voc-ce
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, get_args

import auto_seg_loss  # noqa: F401  isort: skip  (before Detectron2: quiets warnings of its import)
import torch
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser, launch
from detectron2.evaluation import verify_results
from detectron2.utils import comm

from auto_seg_loss.evaluation import build_evaluator, evaluate, metrics_of
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checkpoints import check_same_everywhere, latest_checkpoint
from auto_seg_loss.runtime.checks import check_loss, check_train_data, checked_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.resume import begin_training, check_resume, sole_run
from auto_seg_loss.runtime.scripts import explain_user_errors, say_how_to_go_on, start_run
from auto_seg_loss.trainer import Trainer
from auto_seg_loss.weights import WholeCheckpointer
from autoseg_core.metrics.protocols import ProtocolName


def main() -> None:
    """Check everything once, then train or evaluate in the requested number of processes."""
    parser = default_argument_parser(epilog="projects/AutoSegLoss/configs/README.md lists configs.")
    parser.description = __doc__
    arguments = parser.parse_args()
    if not arguments.config_file:
        parser.error(f"--config-file is missing; {parser.epilog}")
    checks: list[Callable[[CfgNode], None]] = [partial(check_processes, arguments), check_loss]
    if not arguments.eval_only:
        checks += [check_train_data, *([check_resume] if arguments.resume else [])]
    with explain_user_errors():
        cfg = checked_config(arguments.config_file, arguments.opts, *checks)
        # One lock for all processes, including those on other machines: the first machine's.
        sole = not arguments.eval_only and arguments.machine_rank == 0
        with (
            say_how_to_go_on(*([] if arguments.eval_only else ["--resume"])),
            sole_run(cfg, "training") if sole else nullcontext(),
        ):
            launch(
                run,
                arguments.num_gpus,
                num_machines=arguments.num_machines,
                machine_rank=arguments.machine_rank,
                dist_url=arguments.dist_url,
                args=(cfg, arguments),
            )


def check_processes(arguments: argparse.Namespace, cfg: CfgNode) -> None:
    """Refuse more processes than GPUs, and several that are not to have one each."""
    if arguments.num_gpus > max(1, torch.cuda.device_count()):
        raise ConfigError(
            f"--num-gpus {arguments.num_gpus}: PyTorch finds {torch.cuda.device_count()} GPUs "
            "on this machine; leave the option out to train in one process."
        )
    if arguments.num_gpus * arguments.num_machines > 1 and cfg.MODEL.DEVICE != "cuda":
        raise ConfigError(
            f"--num-gpus {arguments.num_gpus}, --num-machines {arguments.num_machines}: several "
            f"processes need MODEL.DEVICE cuda, a GPU for each, got {cfg.MODEL.DEVICE}."
        )


def run(cfg: CfgNode, args: argparse.Namespace) -> dict[str, Any]:
    """One process of the training or evaluation; returns the evaluation results."""
    start_run(cfg, args)
    return score(cfg, args.resume) if args.eval_only else train(cfg, args.resume)


def train(cfg: CfgNode, resume: bool) -> dict[str, Any]:
    """Train and evaluate; an interruption leaves a checkpoint."""
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    if comm.is_main_process():
        begin_training(cfg, resume)
    comm.synchronize()
    return trainer.train()


def score(cfg: CfgNode, resume: bool) -> dict[str, Any]:
    """Score MODEL.WEIGHTS, or the last checkpoint, with every protocol in one pass.

    The scores of TEST.PROTOCOL are "sem_seg", those of another "sem_seg_<protocol>".
    """
    weights = latest_checkpoint(cfg.OUTPUT_DIR) if resume else None
    check_same_everywhere(str(weights or cfg.MODEL.WEIGHTS))
    if not (weights or cfg.MODEL.WEIGHTS):
        raise ConfigError(
            "--eval-only has no weights: give MODEL.WEIGHTS, or --resume for the last checkpoint "
            f"of OUTPUT_DIR {cfg.OUTPUT_DIR}."
        )
    model = build_model(cfg)
    WholeCheckpointer(model).load(str(weights or cfg.MODEL.WEIGHTS))
    evaluators = [
        build_evaluator(cfg, name, metrics_of(cfg), get_args(ProtocolName))
        for name in cfg.DATASETS.TEST
    ]
    results = evaluate(cfg, model, evaluators)
    if comm.is_main_process():
        verify_results(cfg, results)
    return results


if __name__ == "__main__":
    main()
