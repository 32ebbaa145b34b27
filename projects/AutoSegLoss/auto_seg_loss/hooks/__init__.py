"""Hooks of a training: Detectron2's, and those that feed TensorBoard.

Hooks put scalars and images into Detectron2's EventStorage; writers take them from there.

Scalars: total_loss, loss_*, lr, time, data_time, eta_seconds (Detectron2's), sem_seg/* (at each
evaluation); and, every VIS_PERIOD iterations, lr/<part>, speed/images_per_second, memory/*,
surrogate/<term>, counts/<term>/<count>/<class>. Images: surfaces, samples/<data set>/<image>.
"""
