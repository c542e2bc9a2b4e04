"""Training targets: class numbers or values as floating-point rows, and noise on them."""

import torch
from torch import Tensor
from ranktwo.nets.losses import Task
from ranktwo.nets.streams import stream


def targets(labels: Tensor, task: Task, outputs: int) -> Tensor:
    """Rows y_i, float32 [N, c]: the values (regression), 0 or 1 (binary, c = 1), one-hot rows (multiclass).

    `labels` is [N, 1] in regression, else class numbers [N].
    """
    if task == "multiclass":
        return torch.nn.functional.one_hot(labels, outputs).float()
    return labels.reshape(len(labels), 1).float()


def noisy_targets(labels: Tensor, task: Task, outputs: int, label_noise: float, seed: int) -> Tensor:
    """Targets [N, c] with noise p that depends on the seed alone.

    Classification: exactly round(p N) rows get another class, each other one as likely; a larger p keeps the rows of a
    smaller one. Regression: y_i + p z_i with z_i standard normal, p in units of the targets' standard deviation.
    """
    if label_noise == 0:
        return targets(labels, task, outputs)
    generator = stream(seed, "noise")
    if task == "regression":
        return labels + label_noise * torch.randn(labels.shape, generator=generator)
    classes = max(outputs, 2)
    rows = torch.randperm(len(labels), generator=generator)[: round(label_noise * len(labels))]
    shift = torch.randint(1, classes, labels.shape, generator=generator)
    noisy = labels.clone()
    noisy[rows] = (labels[rows] + shift[rows]) % classes
    return targets(noisy, task, outputs)


def expected_targets(labels: Tensor, task: Task, outputs: int, label_noise: float) -> Tensor:
    """Mean over the noise of the noisy targets, float32 [N, c].

    The logistic loss and cross entropy are linear in the target, so their value at this target is their mean over the
    noise; the mean of (f - y)^2 is p^2 more than its value.
    """
    clean = targets(labels, task, outputs)
    if task == "regression":
        return clean
    classes = max(outputs, 2)
    return clean * (1 - label_noise) + (1 - clean) * label_noise / (classes - 1)
