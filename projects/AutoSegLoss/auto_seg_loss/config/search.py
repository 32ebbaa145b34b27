"""Keys of searches and studies."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_search_keys(cfg: CfgNode) -> None:
    """SEARCH."""
    cfg.SEARCH = CfgNode()
    # What is searched: a metric or an objective, which is also the reward, and a surface (`bezier`,
    # `linear`). Metrics: mIoU, FWIoU, mAcc, gAcc, BIoU, BF1, Dice and all others of
    # autoseg_core.scores; objectives: "0.7*mIoU+0.3*BF1", "mIoU*BF1", "BIoU | mIoU>=0.6" and the
    # like, see autoseg_core.objective. PIECES 0 takes each metric's default.
    cfg.SEARCH.METRIC = "mIoU"
    # The metric or objective whose surrogate is searched, where that is another than the reward's:
    # a loss of regions is easier to train than one of boundaries alone. "": METRIC.
    cfg.SEARCH.SURROGATE = ""
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
    # Successive halving within a round. 2: all candidates are trained for a quarter of
    # PROXY.MAX_ITER, the better half of them for a half, and the better half of those in full; each
    # is a training of its own. 0: all in full. Use PPO.BASELINE `mean` with it: the baseline of
    # `mu` is one candidate, the mean, which may be stopped.
    cfg.SEARCH.HALVINGS = 0
    _add_agents(cfg.SEARCH)
    _add_executor(cfg.SEARCH)
    _add_proxy(cfg.SEARCH)


def _add_agents(search: CfgNode) -> None:
    """Options of each agent, in the node of its name."""
    # PPO. Defaults are the released settings, but for BASELINE (released: `mu`, which spends one of
    # the round's SAMPLES on the mean itself). Those of the group's next paper: RATIO `joint`, ADAM
    # `fresh`, CLIP 0.1, SIGMA_FINAL 0, a WARMUP.
    search.PPO = CfgNode()
    # Standard deviation of the truncated normal in the first round, and where it is heading to,
    # linearly, at the end of the last.
    search.PPO.SIGMA = 0.2
    search.PPO.SIGMA_FINAL = 0.2
    # Adam steps a round, their learning rate, and the clip of the likelihood ratio.
    search.PPO.EPOCHS = 60
    search.PPO.LR = 0.2
    search.PPO.CLIP = 0.2
    # Advantage against the round's `mean` reward or the reward of the policy's mean, `mu`.
    search.PPO.BASELINE = "mean"
    # Likelihood ratio per `coordinate` (released) or `joint`.
    search.PPO.RATIO = "coordinate"
    # Adam's moments across rounds: `persistent` (released) or `fresh`.
    search.PPO.ADAM = "persistent"
    # Share of a round's steps, in [0, 1], over which the learning rate rises from 0 (released: 0).
    search.PPO.WARMUP = 0.0

    # CMA-ES. SAMPLES is its population: 4 + 3 ln(coordinates) or more.
    search.CMA_ES = CfgNode()
    # Standard deviation of the first round, in every coordinate.
    search.CMA_ES.SIGMA = 0.2
    # Begin again around a random mean when it has converged; False: learn no more.
    search.CMA_ES.RESTARTS = True

    # Tree-structured Parzen estimator.
    search.TPE = CfgNode()
    # Proposals are uniform until this many rewards are known, and in the first round always.
    search.TPE.STARTUP = 10
    # Model the coordinates jointly; False: each by itself.
    search.TPE.MULTIVARIATE = False

    # Gaussian process. STARTUP as for TPE.
    search.GP = CfgNode()
    search.GP.STARTUP = 10


def _add_executor(search: CfgNode) -> None:
    # Who evaluates, `serial` (this process) or `ray` (extra [ray]; worker processes here, or on the
    # cluster of RAY_ADDRESS). On CPUs results do not depend on it, and a search may be resumed with
    # another; MAX_RETRIES and TIMEOUT must stay.
    search.EXECUTOR = CfgNode()
    search.EXECUTOR.NAME = "serial"
    # For `ray`. Worker processes (0: as many as the resources allow), and what each takes of them:
    # CPUS, which Ray counts but does not enforce (0: as many as torch has threads, so set
    # OMP_NUM_THREADS=1 for a worker a core; 1 on a GPU), and GPUS, used if MODEL.DEVICE is one:
    # 0.5 puts two workers on each. Both with a point: 1.0.
    search.EXECUTOR.WORKERS = 0
    search.EXECUTOR.CPUS = 0.0
    search.EXECUTOR.GPUS = 1.0
    # An evaluation that breaks (an exception, a worker that dies) is tried again so many times, and
    # is then lost: the candidate has no reward, and the agent is not told of it. TIMEOUT: whole
    # seconds for one attempt, whose excess loses the evaluation; 0: no limit.
    search.EXECUTOR.MAX_RETRIES = 2
    search.EXECUTOR.TIMEOUT = 0
    # The share of a round's SAMPLES, or of the final's evaluations, that may be lost; more stop it.
    # --resume makes them again. A study's runs have neither TIMEOUT nor MAX_LOST. A missing or
    # wrong file stops it at once.
    search.EXECUTOR.MAX_LOST = 0.25


def _add_proxy(search: CfgNode) -> None:
    """The training of a candidate, its images, and the final choice."""
    # The proxy: iterations with the candidate loss. Everything else is SOLVER, INPUT and MODEL.
    search.PROXY = CfgNode()
    search.PROXY.MAX_ITER = 1000
    # Candidates that are trained in one pass, for heads on frozen features and the executor
    # `serial`: results are those of 1 up to rounding. Meant for GPUs; on a CPU 1 is faster.
    # Evaluations in a stack are not tried again.
    search.PROXY.STACK = 1
    # Cross-entropy training that all proxies start from. WEIGHTS: file to use, made when missing;
    # "" is OUTPUT_DIR/warm_start.pth. MAX_ITER 0: proxies start from MODEL.WEIGHTS as it is.
    search.WARM_START = CfgNode()
    search.WARM_START.WEIGHTS = ""
    search.WARM_START.MAX_ITER = 0
    search.WARM_START.BASE_LR = 0.02

    # Images that give the reward. DATASETS: registered names; () carves them from DATASETS.TRAIN:
    # this share of it, in blocks of BLOCK consecutive images (video frames), chosen by SEED.
    search.HOLDOUT = CfgNode()
    search.HOLDOUT.DATASETS = ()
    search.HOLDOUT.FRACTION = 0.2
    search.HOLDOUT.BLOCK = 1
    search.HOLDOUT.SEED = 0
    # Side in pixels of the centre crop that is scored, cut from image and label after they were
    # resized to INPUT.MIN_SIZE_TEST (released: 128). 0: whole images, at the labels' resolution.
    search.HOLDOUT.CROP = 0

    # The final choice: the policy's mean, the identity and the TOP_K best candidates race over
    # fresh seeds, until one is ahead of all others beyond the noise, RESEEDS of them at most; two
    # at least, for one pair allows no comparison.
    search.SELECTION = CfgNode()
    search.SELECTION.TOP_K = 3
    search.SELECTION.RESEEDS = 8


def add_study_keys(cfg: CfgNode) -> None:
    """STUDY."""
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
    # config is merged over this one, first the data set's, then the network's, but for what the
    # data set's sets of DATASETS, INPUT and TEST. The study's own file, without its bases, and KEY
    # VALUE options are merged over both. Paths are relative to the folder of that file.
    cfg.STUDY.DATASETS = []
    cfg.STUDY.NETWORKS = []
    # The score to print first.
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
