"""A training from a config: it combines network, data, optimiser and hooks, and can resume."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import DefaultTrainer, create_ddp_model
from detectron2.evaluation import DatasetEvaluators, verify_results
from detectron2.utils import comm
from torch import distributed

from auto_seg_loss.data import build_train_loader
from auto_seg_loss.data.catalog import label_rule
from auto_seg_loss.evaluation import build_evaluator, evaluate, metrics_of
from auto_seg_loss.hooks.build import WholeSteps, build_hooks, build_writers
from auto_seg_loss.hooks.pictures import SamplePictures
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checkpoints import (
    TrainingCheckpointer,
    check_same_everywhere,
    latest_checkpoint,
)
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import set_random_states, undisturbed
from auto_seg_loss.train_loop import TrainLoop
from rl.signals import Interrupted, uninterrupted

logger = logging.getLogger(__name__)

_FINAL = "model_final"  # as Detectron2 names it


class Trainer(TrainLoop):
    """Trains the network of a config and scores it by exact metrics, like ``DefaultTrainer``.

    ``results`` are those of the last evaluation: "sem_seg" -> score -> percent.
    """

    def __init__(self, cfg: CfgNode) -> None:
        cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
        model = build_model(cfg)
        logger.info("Model:\n%s", model)
        parallel = create_ddp_model(model, broadcast_buffers=False)
        super().__init__(cfg, parallel, build_train_loader(cfg))
        self.cfg, self.max_iter = cfg, cfg.SOLVER.MAX_ITER
        self.checkpointer = TrainingCheckpointer(
            self.model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self)
        )
        self.results: dict[str, Any] = {}
        self.steps = WholeSteps()
        self.register_hooks(build_hooks(self))

    def train(self) -> dict[str, Any]:
        """Train to SOLVER.MAX_ITER and return ``results``; an interruption leaves a checkpoint."""
        try:
            self.register_hooks(build_writers(self))
            super().train(self.start_iter, self.max_iter)
        except Interrupted:
            with uninterrupted():
                self._keep_last_step()
            raise
        if comm.is_main_process():
            verify_results(self.cfg, self.results)
        return self.results

    def test(self) -> dict[str, Any]:
        """The scores on DATASETS.TEST; pictures of TEST.SAMPLES images go to the event storage.

        All processes score the network that a checkpoint holds, the main process's: they take over
        its buffers, since batch norm that is not synchronised has other statistics in each.
        """
        if comm.get_world_size() > 1:
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, 0)
        evaluators = []
        for name in self.cfg.DATASETS.TEST:
            dicts, rule = DatasetCatalog.get(name), label_rule(self.cfg, [name])
            pictures = SamplePictures(dicts, name, self.cfg.TEST.SAMPLES, rule)
            scores = build_evaluator(self.cfg, name, metrics_of(self.cfg))
            evaluators.append(DatasetEvaluators([scores, pictures]))
        with undisturbed(self.cfg.MODEL.DEVICE):  # a checkpoint comes before its evaluation
            self.results = evaluate(self.cfg, self.model, evaluators)
        return self.results

    def resume_or_load(self, resume: bool = True) -> None:
        """Resume from the latest checkpoint of OUTPUT_DIR, or start from MODEL.WEIGHTS.

        A resumed training gets the next images in the order of the whole training, and the
        states of the random generators, so on a CPU it ends with the same weights bit for bit.
        ``ConfigError`` where processes would start from different files.
        """
        path = latest_checkpoint(self.cfg.OUTPUT_DIR) if resume else None
        check_same_everywhere(str(path or self.cfg.MODEL.WEIGHTS))
        if path is None:
            if resume:
                logger.info("%s holds no checkpoint: starting a training", self.cfg.OUTPUT_DIR)
            self.checkpointer.load(self.cfg.MODEL.WEIGHTS, checkpointables=[])
            return
        rest = self.checkpointer.load(str(path))
        self.start_iter = self.iter + 1
        states, processes = rest.get("random", []), comm.get_world_size()
        if len(states) == processes:
            set_random_states(states[comm.get_rank()], self.cfg.MODEL.DEVICE)
        else:
            logger.warning(
                "%s has the random generators of %d processes, and these are %d: they are reseeded",
                *(path, len(states), processes),
            )
        if self.start_iter == self.max_iter and path.stem != _FINAL:  # no step is left to write it
            self.checkpointer.save(_FINAL, iteration=self.iter)

    def state_dict(self) -> dict[str, Any]:
        """The state of the loop, and the seed of the order of images."""
        return {**super().state_dict(), "order": self.data_loader.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of ``state_dict``.

        For learning rates only the iteration counts: the schedule is that of the config.
        ``ConfigError`` if more iterations are done than SOLVER.MAX_ITER.
        """
        done = state_dict["iteration"] + 1
        if done > self.max_iter:
            raise ConfigError(
                f"{done} iterations are done already, but SOLVER.MAX_ITER is {self.max_iter}; give "
                "a larger one, or choose another OUTPUT_DIR."
            )
        hooks = {k: v for k, v in state_dict.get("hooks", {}).items() if k != "LRScheduler"}
        super().load_state_dict({**state_dict, "hooks": hooks})
        loader = self.data_loader
        loader.seed, loader.start = state_dict["order"], done * self.accumulate
        self._schedule_from(done)

    def _schedule_from(self, iteration: int) -> None:
        groups, before = self.optimizer.param_groups, self.optimizer.param_groups[0]["lr"]
        self.scheduler.last_epoch = iteration
        for group, rate in zip(groups, self.scheduler.get_lr(), strict=True):
            group["lr"] = rate
        if groups[0]["lr"] != before:
            logger.info(
                "The schedule continues as if SOLVER had never changed, MAX_ITER %d: a "
                "learning rate of %g at iteration %d, where it would have been %g",
                *(self.max_iter, groups[0]["lr"], iteration, before),
            )

    def _keep_last_step(self) -> None:
        """Save a checkpoint of the last complete step, for --resume.

        Not with several processes: others may wait in the middle of a step; the last checkpoint
        of SOLVER.CHECKPOINT_PERIOD then remains.
        """
        done = self.steps.done
        if comm.get_world_size() > 1 or done is None:
            return
        self.iter = done  # the loop may already have incremented it
        name = _FINAL if done + 1 == self.max_iter else f"model_{done:07d}"
        latest = self.checkpointer.get_checkpoint_file()
        if Path(latest).name != f"{name}.pth":  # a file to resume from is never overwritten
            self.checkpointer.save(name, iteration=done)
