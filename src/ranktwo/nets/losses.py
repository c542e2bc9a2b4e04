"""Losses, their derivatives and accuracy: mean squared error, logistic loss and cross entropy, by task."""

from typing import Literal

import torch
from torch import Tensor

Task = Literal["regression", "binary", "multiclass"]
"""Mean squared error; logistic loss of one logit; cross entropy, in nats."""


def sample_losses(outputs: Tensor, targets: Tensor, task: Task, dim: int = -1) -> Tensor:
    """l_i of every sample, [K, N], from outputs f [K, N, c] and targets y [N, c] or [K, N, c].

    mean_k (f_k - y_k)^2, log(1 + exp(f)) - y f, or log(sum_k exp(f_k)) - sum_k y_k f_k. The c outputs may lie along
    another dimension `dim` of both.
    """
    if task == "regression":
        return (outputs - targets).square().mean(dim)
    if task == "binary":
        targets = targets.to(outputs).expand_as(outputs)  # of two types, torch returns the lower precision
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").squeeze(dim)
    return outputs.logsumexp(dim) - (outputs * targets).sum(dim)


def output_gradients_(outputs: Tensor, targets: Tensor, task: Task, dim: int = -1) -> Tensor:
    """dl_i/df of every sample, [K, N, c]: 2 (f - y)/c, sigmoid(f) - y, or softmax(f) - y. Overwrites `outputs`.

    `dim` as in `sample_losses`.
    """
    if task == "regression":
        return outputs.sub_(targets).mul_(2.0 / outputs.shape[dim])
    if task == "binary":
        return outputs.sigmoid_().sub_(targets)
    return torch.softmax(outputs, dim=dim, out=outputs).sub_(targets)


def correct(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Whether the predicted class of each sample is its class, bool [K, N]. A logit of exactly 0 predicts class 0."""
    if task == "binary":
        return ((outputs > 0) == (targets > 0.5)).squeeze(-1)
    return outputs.argmax(-1) == targets.argmax(-1).expand(outputs.shape[:-1])


def target_variance(y: Tensor) -> Tensor:
    """Mean (y - ybar)^2 of targets [N, c] or [K, N, c]: each output about its own mean, then the mean over outputs.

    float64, a number or [K], on the CPU.
    """
    return y.double().var(dim=-2, correction=0).mean(-1).cpu()
