"""TODO nets.losses."""

from typing import Literal

import torch
from torch import Tensor


def target_variance(y: Tensor) -> Tensor:
    """Mean (y - ybar)^2 of targets [N, c] or [K, N, c], with one mean for each output, averaged over outputs."""
    return y.double().var(dim=-2, correction=0).mean(-1).cpu()


Task = Literal["regression", "binary", "multiclass"]


def sample_losses(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Loss l_i of every sample, [K, N], from outputs f [K, N, c]."""
    if task == "regression":
        return (outputs - targets).square().mean(-1)
    if task == "binary":
        targets = targets.to(outputs).expand_as(outputs)  # of mixed types, torch returns the lower precision
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").squeeze(-1)
    return outputs.logsumexp(-1) - (outputs * targets).sum(-1)


def output_gradients_(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """dl_i/df of every sample, [K, N, c], written over `outputs`: 2 (f - y)/c, sigmoid(f) - y, or softmax(f) - y."""
    if task == "regression":
        return outputs.sub_(targets).mul_(2.0 / outputs.shape[-1])
    if task == "binary":
        return outputs.sigmoid_().sub_(targets)
    return torch.softmax(outputs, dim=-1, out=outputs).sub_(targets)


def correct(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Whether each sample's predicted class is its own, bool [K, N]; a logit of exactly 0 predicts class 0."""
    if task == "binary":
        return ((outputs > 0) == (targets > 0.5)).squeeze(-1)
    return outputs.argmax(-1) == targets.argmax(-1).expand(outputs.shape[:-1])
