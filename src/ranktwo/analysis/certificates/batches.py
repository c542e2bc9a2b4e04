"""The search for the batch whose gradient with decay is largest."""

import math

import torch
from torch import Tensor

from ranktwo.analysis.certificates.passes import frobenius


def largest_batch(
    weight: Tensor,
    h: Tensor,
    delta: Tensor,
    decay: Tensor,
    inner: Tensor,
    extreme: Tensor,
    batch_size: int,
    ascent_steps: int,
) -> Tensor:
    """The largest ||G_S||, [K], of the batches that an ascent meets: a lower bound of the supremum over all batches.

    One ascent starts from the B samples most aligned with sample `extreme` [K], another from those most opposed to the
    batch that the first one found. Each ||G_S|| is the norm of the batch's gradient itself: its Gram expansion would
    lose digits near stationarity.

    weight W [K, out, in], h [K, N, in], delta [K, N, out], decay c_i and inner <g_i, W> [K, N], as in `Passes`.
    """
    cells = torch.arange(len(weight), device=h.device)[:, None]
    square = frobenius(weight).square()

    def batch_gradient(batch: Tensor) -> Tensor:
        part, inputs = delta[cells, batch], h[cells, batch]
        shrink = decay.gather(1, batch).mean(1)[:, None, None]
        return torch.baddbmm(shrink * weight, part.transpose(1, 2), inputs, alpha=1 / batch.shape[1])

    def aligned(batch: Tensor, sign: int = 1) -> Tensor:
        """The B samples of largest <a_i, G_S>, or of smallest if the sign is -1."""
        if batch.shape[1] * sum(weight.shape[1:]) < math.prod(weight.shape[1:]):
            # <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) takes fewer products than the gradient itself.
            mean = decay.gather(1, batch).mean(1, keepdim=True)
            score = torch.bmm(delta[cells, batch], delta.transpose(1, 2))
            score = torch.linalg.vecdot(score, torch.bmm(h[cells, batch], h.transpose(1, 2)), dim=1) / batch.shape[1]
            score += mean * inner + decay * (inner.gather(1, batch).mean(1) + mean[:, 0] * square)[:, None]
        else:
            gradient = batch_gradient(batch)
            score = torch.linalg.vecdot(torch.bmm(h, gradient.transpose(1, 2)), delta)
            score += decay * (weight * gradient).sum((1, 2))[:, None]
        return (sign * score).topk(batch_size, dim=1).indices

    def ascend(batch: Tensor) -> tuple[Tensor, Tensor]:
        """The best batch [K, B] on the way up from one, and its norm [K]."""
        norm = frobenius(batch_gradient(batch))
        for _ in range(ascent_steps):
            tried = aligned(batch)
            larger = frobenius(batch_gradient(tried))
            batch = torch.where((larger > norm)[:, None], tried, batch)
            norm = torch.maximum(norm, larger)
        return batch, norm

    best, norm = ascend(aligned(extreme[:, None]))
    return torch.maximum(norm, ascend(aligned(best, sign=-1))[1])
