"""Train and evaluate a segmentation network with any loss of the registry.

    python projects/AutoSegLoss/train_net.py --config-file CONFIG [--resume] [--eval-only] \
        [--num-gpus N] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import default_argument_parser, launch
from detectron2.evaluation import verify_results
from detectron2.utils import comm

from auto_seg_loss.preflight import check_loss, check_resume, prepare, start_run
from auto_seg_loss.trainer import Trainer
from auto_seg_loss.user_errors import explain_user_errors


def main(args: argparse.Namespace) -> dict:
    """Run in every process that ``launch`` starts; returns the evaluation's results."""
    cfg = prepare(args, check_loss, *([check_resume] if args.resume else []))
    start_run(cfg, args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        checkpointer = DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR)
        checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
        results = Trainer.test(cfg, model)
        if comm.is_main_process():
            verify_results(cfg, results)
        return results
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    arguments = default_argument_parser().parse_args()
    with explain_user_errors():
        launch(
            main,
            arguments.num_gpus,
            num_machines=arguments.num_machines,
            machine_rank=arguments.machine_rank,
            dist_url=arguments.dist_url,
            args=(arguments,),
        )
