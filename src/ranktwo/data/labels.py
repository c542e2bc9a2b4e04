"""Training targets: class numbers or values as rows of floating-point numbers, without and with noise."""

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
    """Targets [N, c] with noise p = `label_noise`. The noise depends on the seed alone.

    Classification: exactly round(p N) rows get another class; every other class is equally likely. With a larger p, the
    rows that a smaller p changed have the same wrong classes. Regression: y_i + p z_i with z_i standard normal, so p is
    in units of the targets' standard deviation.
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
    """Mean of the noisy targets over the noise, float64 [N, c].

    The logistic loss and cross entropy are linear in the target, so their value at this target is their mean over the
    noise. The mean of (f - y)^2 over the noise is p^2 more than its value at this target.
    """
    clean = targets(labels, task, outputs).double()
    if task == "regression":
        return clean
    classes = max(outputs, 2)
    return clean * (1 - label_noise) + (1 - clean) * label_noise / (classes - 1)
