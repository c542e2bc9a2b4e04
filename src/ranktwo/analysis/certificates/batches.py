"""The search for the batch whose gradient with decay is largest."""

import math

import torch
from torch import Tensor

from ranktwo.analysis.certificates.passes import frobenius

STEPS = 2
"""Of the ascent. A third is worth 0.1 % in the mean."""


def largest_batch(
    weight: Tensor,
    h: Tensor,
    delta: Tensor,
    decay: Tensor,
    inner: Tensor,
    extreme: Tensor,
    gradient: Tensor,
    batch_size: int,
) -> Tensor:
    """The largest ||G_S||, [K], of the batches that the search meets: a lower bound of the supremum over all batches.

    Three greedy batches are compared: the B samples of largest <a_i, a_e>, e the sample `extreme` [K]; those of
    smallest; and those of largest <a_i, G>, G the mean of all a_i, `gradient` [K, out, in]. The best one is ascended by
    swaps: S', the B samples of largest <a_i, G_S>, has ||G_S'|| >= ||G_S||. Each ||G_S|| is the norm of the batch's
    gradient itself: its Gram expansion would lose digits near stationarity.

    weight W [K, out, in], h [K, N, in], delta [K, N, out], decay c_i and inner <g_i, W> [K, N], as in `Passes`.
    """
    cells = torch.arange(len(weight), device=h.device)[:, None]
    square = frobenius(weight).square()

    def along(gradient: Tensor) -> Tensor:
        """<a_i, G>, [K, N]."""
        fewer = weight.shape[1] < weight.shape[2]  # outputs than inputs: the product [N, out] is the smaller one
        first, second = (torch.bmm(h, gradient.mT), delta) if fewer else (torch.bmm(delta, gradient), h)
        return torch.linalg.vecdot(first, second) + decay * (weight * gradient).sum((1, 2))[:, None]

    def along_batch(batch: Tensor, gradient: Tensor | None = None) -> Tensor:
        """<a_i, G_S>, [K, N]."""
        if gradient is not None and batch.shape[1] * sum(weight.shape[1:]) >= math.prod(weight.shape[1:]):
            return along(gradient)
        # <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) takes fewer products than the gradient itself.
        mean = decay.gather(1, batch).mean(1, keepdim=True)
        score = torch.bmm(delta[cells, batch], delta.transpose(1, 2))
        score = torch.linalg.vecdot(score, torch.bmm(h[cells, batch], h.transpose(1, 2)), dim=1) / batch.shape[1]
        return score + mean * inner + decay * (inner.gather(1, batch).mean(1) + mean[:, 0] * square)[:, None]

    def largest(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the batches of largest scores, [K, S, N], the one of largest ||G_S||: its samples, G_S and that norm."""
        batches = scores.topk(batch_size).indices
        rows = cells[..., None], batches
        shrink = decay[rows].mean(-1)[..., None, None]
        gradients = shrink * weight[:, None] + delta[rows].mT @ h[rows] / batch_size
        norm, place = frobenius(gradients).max(1)
        return batches[cells[:, 0], place], gradients[cells[:, 0], place], norm

    towards = along_batch(extreme[:, None])
    batch, gradient, norm = largest(torch.stack([towards, -towards, along(gradient)], 1))
    for _ in range(STEPS):
        batch, gradient, larger = largest(along_batch(batch, gradient)[:, None])
        norm = torch.maximum(norm, larger)
    return norm
