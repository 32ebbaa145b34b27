"""Keys of data, networks, features, tests and solver."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_folder_keys(cfg: CfgNode) -> None:
    """DATASETS.FOLDER."""
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


def add_model_keys(cfg: CfgNode) -> None:
    """MODEL, FEATURES, INPUT and TEST."""
    # MODEL.SEM_SEG_HEAD.LOSS_TYPE, a key of DeepLab's, is here a name of
    # auto_seg_loss.losses.SEM_SEG_LOSS_REGISTRY: `cross_entropy`, `weighted_cross_entropy`,
    # `hard_pixel_mining`, `auto_seg_loss`, and, with the extra [baselines], `focal`, `dice`,
    # `cross_entropy_dice`, `jaccard`, `lovasz`. Detectron2's own heads take them from
    # modeling.build_model.
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
    # Training takes each image at one of these scales of the size at which it fits in, at random.
    # Of an image that is larger than SIZE the middle is taken. Scoring is at scale 1.
    cfg.FEATURES.SCALES = [1.0]
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


def add_solver_keys(cfg: CfgNode) -> None:
    """SOLVER."""
    # Learning rate of the heads relative to SOLVER.BASE_LR (10 in the released code). The floor of
    # DeepLab's schedule, WarmupPolyLR, is SOLVER.POLY_LR_CONSTANT_ENDING, a share of each rate.
    cfg.SOLVER.HEAD_LR_FACTOR = 1.0
    # Batches of IMS_PER_BATCH images whose gradients make one step of the optimiser; MAX_ITER
    # counts steps. The loss is the mean of the batches' losses. For cross entropy that is close to
    # a batch of all their images; a surrogate is a ratio of a batch's counts, so it stays one of
    # IMS_PER_BATCH images, and so do the statistics of batch norm.
    cfg.SOLVER.ACCUMULATE = 1
