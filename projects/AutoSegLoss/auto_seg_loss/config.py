"""Every configuration key this project adds to Detectron2, each born here once."""

from __future__ import annotations

import importlib
from os.path import expanduser
from typing import Any

import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.projects.deeplab import add_deeplab_config

from auto_seg_loss.data.folder import register_folder
from auto_seg_loss.runtime.errors import config_errors


def add_auto_seg_loss_config(cfg: CfgNode) -> None:
    """Add the keys of Auto Seg-Loss, and those of DeepLab, which it builds on.

    A key that is there already keeps its value, so the order with other ``add_..._config`` is free.
    """
    keys = get_cfg()
    add_deeplab_config(keys)
    # Modules to import first, such as one that registers a metric, an agent or a loss of yours.
    keys.IMPORTS = []
    _add_folder_keys(keys)
    _add_model_keys(keys)
    _add_solver_keys(keys)
    _add_search_keys(keys)
    _add_study_keys(keys)
    _add_missing(cfg, keys)


def project_defaults() -> CfgNode:
    """The config that this project's scripts start from: all keys, with the scripts' own defaults.

    They differ from Detectron2's in LOSS_TYPE and in VIS_PERIOD.
    """
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    # Iterations between two measurements that TensorBoard shows of a training beside losses and
    # scores: counts and surfaces of a searched loss, learning rates, throughput, memory. 0: none.
    cfg.VIS_PERIOD = 100
    return cfg


def register_names(cfg: CfgNode) -> None:
    """Make known what a config names: the modules of IMPORTS, the data set of DATASETS.FOLDER.

    ImportError for a module that is not on the path, ConfigError for an unfit DATASETS.FOLDER.
    """
    for module in cfg.IMPORTS:
        importlib.import_module(module)
    with config_errors("DATASETS.FOLDER"):
        register_folder(cfg)


def expand_homes(cfg: CfgNode) -> None:
    """Put home directories for the ``~`` that a text begins with, as in ``OUTPUT_DIR ~/runs``."""
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            expand_homes(value)
        else:
            cfg[key] = _with_home(value)


def _with_home(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_with_home(item) for item in value)
    return expanduser(value) if isinstance(value, str) else value


def plain(cfg: CfgNode) -> dict[str, Any]:
    """A config as nested dicts of what JSON knows."""
    values: dict[str, Any] = yaml.safe_load(cfg.dump())
    return values


def _add_missing(cfg: CfgNode, keys: CfgNode) -> None:
    for key, value in keys.items():
        if key not in cfg:
            setattr(cfg, key, value)
        elif isinstance(value, CfgNode):
            _add_missing(cfg[key], value)


def _add_folder_keys(cfg: CfgNode) -> None:
    # Any folder of images as a data set. With IMAGES set, DATASETS.TRAIN, DATASETS.TEST and
    # SEARCH.HOLDOUT.DATASETS take <NAME>_sem_seg_train, <NAME>_sem_seg_holdout and
    # <NAME>_sem_seg_test. All paths may be relative: to $DETECTRON2_DATASETS, as for other sets.
    cfg.DATASETS.FOLDER = CfgNode()
    # Data sets that are used in one process, as in a study of several, need different names.
    cfg.DATASETS.FOLDER.NAME = "folder"
    # Directories. A label has the stem of its image (data.catalog.files_by_stem tells more).
    cfg.DATASETS.FOLDER.IMAGES = ""
    cfg.DATASETS.FOLDER.LABELS = ""
    # Class names in the order of their indices. []: the lines of a classes.txt in or beside the
    # directory of labels or of images, else "0", "1", ... up to the highest value of the labels.
    cfg.DATASETS.FOLDER.CLASSES = []
    # The value that means "void" in the files, or in INPUT.LABEL_PALETTE.
    cfg.DATASETS.FOLDER.VOID = 255
    # Lists of images for each part, one name per line. Parts without a list are cut from the list
    # of TRAIN or, where there is none, from the images that no list names.
    cfg.DATASETS.FOLDER.TRAIN = ""
    cfg.DATASETS.FOLDER.HOLDOUT = ""
    cfg.DATASETS.FOLDER.TEST = ""
    # For parts that are cut: shares of the images to cut, TRAIN has the rest; seed of the choice.
    cfg.DATASETS.FOLDER.HOLDOUT_SHARE = 0.2
    cfg.DATASETS.FOLDER.TEST_SHARE = 0.2
    cfg.DATASETS.FOLDER.SEED = 0
    # A regular expression that finds the film, drive or patient in a file name: the first bracket,
    # else the whole expression. A group is never in two parts. "": each image by itself.
    cfg.DATASETS.FOLDER.GROUPS = ""


def _add_model_keys(cfg: CfgNode) -> None:
    # MODEL.SEM_SEG_HEAD.LOSS_TYPE, a key of DeepLab's, is here a name of
    # auto_seg_loss.losses.SEM_SEG_LOSS_REGISTRY: `cross_entropy`, `weighted_cross_entropy`,
    # `hard_pixel_mining`, `auto_seg_loss`, and, with the extra [baselines], `focal`, `dice`,
    # `jaccard`, `lovasz`. Detectron2's own heads take them from modeling.build_model.
    # For `weighted_cross_entropy`: a weight >= 0 for each class. `python -m
    # auto_seg_loss.class_weights` computes them for a training set.
    cfg.MODEL.SEM_SEG_HEAD.LOSS_CLASS_WEIGHTS = []
    # For `auto_seg_loss`: a name of the zoo, a metric (`miou`: the loss recommended for it), or
    # the path of a .json spec.
    cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC = ""
    # For auto_seg_loss: sum the counts over all processes, so that the loss is that of the whole
    # batch however many GPUs share it. False: each process scores its own share.
    cfg.MODEL.SEM_SEG_HEAD.LOSS_SYNC = True
    # For auto_seg_loss: what computes the loss, `auto`, `reference` (plain PyTorch), `native` (C++,
    # on a CPU) or `triton` (on CUDA). All give the same loss up to rounding.
    cfg.MODEL.SEM_SEG_HEAD.LOSS_BACKEND = "auto"
    # A ResNet of basic blocks, small enough for a CPU (`build_small_resnet_backbone`):
    # blocks, output channels and stride of the stages res2 .. res5.
    cfg.MODEL.SMALL_RESNET = CfgNode()
    cfg.MODEL.SMALL_RESNET.BLOCKS = [1, 1, 1, 1]
    cfg.MODEL.SMALL_RESNET.CHANNELS = [16, 32, 64, 64]
    cfg.MODEL.SMALL_RESNET.STRIDES = [1, 2, 2, 1]
    # For AnyLossPSPHead: cells along each side of the grids that features are averaged over.
    cfg.MODEL.SEM_SEG_HEAD.POOL_GRIDS = [1, 2, 3, 6]
    # For AnyLossPSPHead, AnyLossFCNHead and the auxiliary head: share of channels dropped before
    # the classifier. DeepLab's is ASPP_DROPOUT.
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.1
    # A second, fully convolutional head on one of the backbone's features, trained with the same
    # loss (`loss_sem_seg_aux`) times LOSS_WEIGHT; evaluation does without it. CONVS_DIM: channels
    # of its hidden layer. Norm and dropout are those of SEM_SEG_HEAD.
    cfg.MODEL.AUX_HEAD = CfgNode()
    cfg.MODEL.AUX_HEAD.ENABLED = False
    cfg.MODEL.AUX_HEAD.IN_FEATURE = "res4"
    cfg.MODEL.AUX_HEAD.LOSS_WEIGHT = 0.4
    cfg.MODEL.AUX_HEAD.CONVS_DIM = 256
    # A network of timm (`build_timm_backbone`, extra [baselines]): its name in timm.list_models(),
    # and the features wanted, "stage<i>" by timm's index. PRETRAINED: fetch timm's weights from the
    # network, once; MODEL.WEIGHTS then replaces what it holds. SYNC_BN: batch norm over all GPUs.
    # OPTIONS: further keywords of timm.create_model, [KEY, VALUE, ...].
    cfg.MODEL.TIMM = CfgNode()
    cfg.MODEL.TIMM.NAME = ""
    cfg.MODEL.TIMM.OUT_FEATURES = ["stage1", "stage2", "stage3", "stage4"]
    cfg.MODEL.TIMM.PRETRAINED = False
    cfg.MODEL.TIMM.SYNC_BN = False
    cfg.MODEL.TIMM.OPTIONS = []
    # For META_ARCHITECTURE "FrozenFeatures": heads are trained and scored on the features of
    # MODEL.BACKBONE, which are computed once for each image and its mirror image.
    cfg.FEATURES = CfgNode()
    # Weights of the backbone: what MODEL.WEIGHTS takes, and files of installed packages,
    # package://<module>/<path>. They may have names of another library, see convert_weights.py.
    cfg.FEATURES.WEIGHTS = ""
    # Rows and columns, in pixels, that images are scaled to fit in: multiples of the coarsest
    # stride. What an image leaves free is void.
    cfg.FEATURES.SIZE = [192, 256]
    # Channels that each feature is whitened to (PCA over the training set), or fewer.
    cfg.FEATURES.CHANNELS = 64
    # Folder that features are kept in, which all trainings share.
    cfg.FEATURES.CACHE = "~/.cache/auto_seg_loss/features"
    # Keep decoded images and labels in memory (as large as the data set, uncompressed).
    cfg.INPUT.CACHE = False
    # For labels of colours, or masks of 0 and 255: what each colour means, [R, G, B, class] or with
    # the data set's ignore label, as [[0, 0, 0, 0], [255, 255, 255, 1]]. Then all label files hold
    # colours, those of DATASETS.TEST too. []: they hold class indices.
    cfg.INPUT.LABEL_PALETTE = []
    # Void pixels and absent classes in evaluation, `strict` or `paper`: autoseg_core.metrics.
    cfg.TEST.PROTOCOL = "strict"
    # Radius in pixels of the trimap (BIoU) and of the boundary match (BF1), at full resolution.
    cfg.TEST.TOLERANCE = 5
    # Names of metrics that tests report beside mIoU, FWIoU, mAcc, gAcc, BIoU and BF1: ("Dice",).
    cfg.TEST.METRICS = ()
    # Released rule on VOC: class 0 makes no trimap and no boundary score.
    cfg.TEST.DROP_BACKGROUND = False
    # Images of each test set, the same at every evaluation, that TensorBoard shows with truth,
    # prediction and the edges of both. 0: none.
    cfg.TEST.SAMPLES = 4


def _add_solver_keys(cfg: CfgNode) -> None:
    # Learning rate of the heads relative to SOLVER.BASE_LR (10 in the released code). The floor of
    # DeepLab's schedule, WarmupPolyLR, is SOLVER.POLY_LR_CONSTANT_ENDING, a share of each rate.
    cfg.SOLVER.HEAD_LR_FACTOR = 1.0
    # Batches of IMS_PER_BATCH images whose gradients make one step of the optimiser; MAX_ITER
    # counts steps. The loss is the mean of the batches' losses. For cross entropy that is close to
    # a batch of all their images; a surrogate is a ratio of a batch's counts, so it stays one of
    # IMS_PER_BATCH images, and so do the statistics of batch norm.
    cfg.SOLVER.ACCUMULATE = 1


def _add_search_keys(cfg: CfgNode) -> None:
    cfg.SEARCH = CfgNode()
    # What is searched: a metric or an objective, which is also the reward, and a surface (`bezier`,
    # `linear`). Metrics: mIoU, FWIoU, mAcc, gAcc, BIoU, BF1, Dice and all others of
    # autoseg_core.scores; objectives: "0.7*mIoU+0.3*BF1", "mIoU*BF1", "BIoU | mIoU>=0.6" and the
    # like, see autoseg_core.objective. PIECES 0 takes each metric's default.
    cfg.SEARCH.METRIC = "mIoU"
    cfg.SEARCH.SURFACE = "bezier"
    cfg.SEARCH.PIECES = 0
    # For BIoU and BF1: radius in pixels inside the loss, at training resolution (the reward's is
    # TEST.TOLERANCE, at the resolution of the reward).
    cfg.SEARCH.TOLERANCE = 5
    # Inside the loss, class 0 makes no trimap and no boundary score (the reward's is
    # TEST.DROP_BACKGROUND). Released on VOC: True for BIoU, False for BF1.
    cfg.SEARCH.DROP_BACKGROUND = False
    # For metrics of boundaries: void makes edges in the loss, as released, or makes none. For the
    # reward TEST.PROTOCOL says it.
    cfg.SEARCH.VOID_EDGES = False
    # The two constraints of the paper, and a class absent from a batch: `ignore` or `zero`.
    cfg.SEARCH.TRUTH_TABLE = True
    cfg.SEARCH.MONOTONE = True
    cfg.SEARCH.ABSENT = "ignore"
    # Every candidate is multiplied by a scale that gives it the mean gradient of cross entropy in
    # the logits of a head after so many iterations with cross entropy, and SOLVER.BASE_LR is then
    # that of cross entropy. 0: candidates are not scaled (released).
    cfg.SEARCH.SCALE_ITERS = 0
    # Name of the found loss; "" makes one from metric, surface and data set.
    cfg.SEARCH.NAME = ""
    # Agent: `ppo` (the paper's), `cma_es`, `tpe`, `gp` (extra [agents]), `random`, or one added to
    # rl.agents.AGENTS; its options are those of the node that bears its name in capitals. Rounds,
    # evaluations per round.
    cfg.SEARCH.AGENT = "ppo"
    cfg.SEARCH.ROUNDS = 12
    cfg.SEARCH.SAMPLES = 32
    # One of SAMPLES is the identity, and the agent is told gains over it: for agents that compare
    # candidates of different rounds (`gp`, `tpe`, `random`) where the rounds' seeds differ in
    # luck. The final's candidates are then the best by gain. False: as released.
    cfg.SEARCH.PAIRED = False
    # Whole minutes for the rounds; then the final begins, also before ROUNDS are made. 0: no limit.
    # A round that would not end in time, by the average of those before, is not begun. PPO's
    # schedules follow ROUNDS. The journal holds what the rounds took, and a resumed search goes on
    # from there.
    cfg.SEARCH.MINUTES = 0

    # PPO. Defaults are the released settings, but for BASELINE (released: `mu`, which spends one of
    # the round's SAMPLES on the mean itself). Those of the group's next paper: RATIO `joint`, ADAM
    # `fresh`, CLIP 0.1, SIGMA_FINAL 0, a WARMUP.
    cfg.SEARCH.PPO = CfgNode()
    # Standard deviation of the truncated normal in the first round, and where it is heading to,
    # linearly, at the end of the last.
    cfg.SEARCH.PPO.SIGMA = 0.2
    cfg.SEARCH.PPO.SIGMA_FINAL = 0.2
    # Adam steps a round, their learning rate, and the clip of the likelihood ratio.
    cfg.SEARCH.PPO.EPOCHS = 60
    cfg.SEARCH.PPO.LR = 0.2
    cfg.SEARCH.PPO.CLIP = 0.2
    # Advantage against the round's `mean` reward or the reward of the policy's mean, `mu`.
    cfg.SEARCH.PPO.BASELINE = "mean"
    # Likelihood ratio per `coordinate` (released) or `joint`.
    cfg.SEARCH.PPO.RATIO = "coordinate"
    # Adam's moments across rounds: `persistent` (released) or `fresh`.
    cfg.SEARCH.PPO.ADAM = "persistent"
    # Share of a round's steps, in [0, 1], over which the learning rate rises from 0 (released: 0).
    cfg.SEARCH.PPO.WARMUP = 0.0

    # CMA-ES. SAMPLES is its population: 4 + 3 ln(coordinates) or more.
    cfg.SEARCH.CMA_ES = CfgNode()
    # Standard deviation of the first round, in every coordinate.
    cfg.SEARCH.CMA_ES.SIGMA = 0.2
    # Begin again around a random mean when it has converged; False: learn no more.
    cfg.SEARCH.CMA_ES.RESTARTS = True

    # Tree-structured Parzen estimator.
    cfg.SEARCH.TPE = CfgNode()
    # Proposals are uniform until this many rewards are known, and in the first round always.
    cfg.SEARCH.TPE.STARTUP = 10
    # Model the coordinates jointly; False: each by itself.
    cfg.SEARCH.TPE.MULTIVARIATE = False

    # Gaussian process. STARTUP as for TPE.
    cfg.SEARCH.GP = CfgNode()
    cfg.SEARCH.GP.STARTUP = 10

    # Successive halving within a round. 2: all candidates are trained for a quarter of
    # PROXY.MAX_ITER, the better half of them for a half, and the better half of those in full; each
    # is a training of its own. 0: all in full. Use PPO.BASELINE `mean` with it: the baseline of
    # `mu` is one candidate, the mean, which may be stopped.
    cfg.SEARCH.HALVINGS = 0

    # Who evaluates, `serial` (this process) or `ray` (extra [ray]; worker processes here, or on the
    # cluster of RAY_ADDRESS). On CPUs results do not depend on it, and a search may be resumed with
    # another; MAX_RETRIES and TIMEOUT must stay.
    cfg.SEARCH.EXECUTOR = CfgNode()
    cfg.SEARCH.EXECUTOR.NAME = "serial"
    # For `ray`. Worker processes (0: as many as the resources allow), and what each takes of them:
    # CPUS, which Ray counts but does not enforce (0: as many as torch has threads, so set
    # OMP_NUM_THREADS=1 for a worker a core; 1 on a GPU), and GPUS, used if MODEL.DEVICE is one:
    # 0.5 puts two workers on each. Both with a point: 1.0.
    cfg.SEARCH.EXECUTOR.WORKERS = 0
    cfg.SEARCH.EXECUTOR.CPUS = 0.0
    cfg.SEARCH.EXECUTOR.GPUS = 1.0
    # An evaluation that breaks (an exception, a worker that dies) is tried again so many times, and
    # is then lost: the candidate has no reward, and the agent is not told of it. TIMEOUT: whole
    # seconds for one attempt, whose excess loses the evaluation; 0: no limit.
    cfg.SEARCH.EXECUTOR.MAX_RETRIES = 2
    cfg.SEARCH.EXECUTOR.TIMEOUT = 0
    # The share of a round's SAMPLES, of the final's evaluations, or of a study's runs, that may
    # be lost; more stop it. --resume makes them again, in a study --retry-failed. A missing or
    # wrong file stops it at once.
    cfg.SEARCH.EXECUTOR.MAX_LOST = 0.25

    # The proxy: iterations with the candidate loss. Everything else is SOLVER, INPUT and MODEL.
    cfg.SEARCH.PROXY = CfgNode()
    cfg.SEARCH.PROXY.MAX_ITER = 1000
    # Cross-entropy training that all proxies start from. WEIGHTS: file to use, made when missing;
    # "" is OUTPUT_DIR/warm_start.pth. MAX_ITER 0: proxies start from MODEL.WEIGHTS as it is.
    cfg.SEARCH.WARM_START = CfgNode()
    cfg.SEARCH.WARM_START.WEIGHTS = ""
    cfg.SEARCH.WARM_START.MAX_ITER = 0
    cfg.SEARCH.WARM_START.BASE_LR = 0.02

    # Images that give the reward. DATASETS: registered names; () carves them from DATASETS.TRAIN:
    # this share of it, in blocks of BLOCK consecutive images (video frames), chosen by SEED.
    cfg.SEARCH.HOLDOUT = CfgNode()
    cfg.SEARCH.HOLDOUT.DATASETS = ()
    cfg.SEARCH.HOLDOUT.FRACTION = 0.2
    cfg.SEARCH.HOLDOUT.BLOCK = 1
    cfg.SEARCH.HOLDOUT.SEED = 0
    # Side in pixels of the centre crop that is scored, cut from image and label after they were
    # resized to INPUT.MIN_SIZE_TEST (released: 128). 0: whole images, at the labels' resolution.
    cfg.SEARCH.HOLDOUT.CROP = 0

    # The final choice: the policy's mean, the identity and the TOP_K best candidates race over
    # fresh seeds, until one is ahead of all others beyond the noise, RESEEDS of them at most; two
    # at least, for one pair allows no comparison.
    cfg.SEARCH.SELECTION = CfgNode()
    cfg.SEARCH.SELECTION.TOP_K = 3
    cfg.SEARCH.SELECTION.RESEEDS = 8


def _add_study_keys(cfg: CfgNode) -> None:
    # A study trains every loss with every seed on every data set with every network, and compares
    # each loss with the first.
    cfg.STUDY = CfgNode()
    # Names of the loss registry, names of the zoo, metrics (as LOSS_SPEC takes them), or paths of
    # specs.
    cfg.STUDY.LOSSES = ["cross_entropy"]
    # Seeds; each loss is trained once with each, all from MODEL.WEIGHTS. "{seed}" in that path is
    # the seed, which gives each a start of its own, the same for all losses.
    cfg.STUDY.SEEDS = [1, 2, 3]
    # Data sets and networks: "label: config.yaml" each, and [] for this config as it stands. Such a
    # config is merged over this one, first the data set's, then the network's, which must leave
    # DATASETS, INPUT and TEST as the data set's has set them; KEY VALUE options are merged over
    # both. Paths are relative to the folder of the study's config.
    cfg.STUDY.DATASETS = []
    cfg.STUDY.NETWORKS = []
    # The score to print first, and to draw.
    cfg.STUDY.TARGET = "mIoU"
    # Test images whose predictions are shown, spread evenly over the data set.
    cfg.STUDY.IMAGES = 4
    # Radii in pixels at which the scores that look at borders are measured too, beside
    # TEST.TOLERANCE: [1, 2, 3] adds BIoU@1, BF1@1 and so on.
    cfg.STUDY.TOLERANCES = []
    # Measure how long and how jagged predicted borders are: auto_seg_loss.study.borders.
    cfg.STUDY.BORDERS = False
    # How well rewards foretell scores: the journal of a search ("" is none), of whose candidates so
    # many, spread evenly over the ranks of their rewards, are further losses of the study.
    cfg.STUDY.JOURNAL = ""
    cfg.STUDY.CANDIDATES = 10
