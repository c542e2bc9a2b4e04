"""What single samples say of the matrices of any net, by what each matrix is given and what is wanted of it.

A matrix W at P places of a sample has g_i = Delta_i^T H_i, of rank R <= min(P, out, in) (`nets.modules`). With P = 1
that is the delta_i h_i^T of a dense layer, of which no g_i is stored. With more places every g_i is: [N, out in].
"""

import math

import torch
from torch import Tensor

from ranktwo.analysis.certificates.batches import STEPS, largest_batch
from ranktwo.analysis.certificates.norms import sample_norms
from ranktwo.analysis.certificates.passes import row_norms
from ranktwo.nets.losses import Task
from ranktwo.nets.modules import ModuleNet


def dense_columns(
    weight: Tensor, h: Tensor, image: Tensor, delta: Tensor, length: Tensor, inner: Tensor, decay: Tensor, batch: int
) -> dict[str, Tensor]:
    """||g_i + c_i W|| [K, N], gbar [K, out, in] and the largest ||G_S|| of a search [K], of a matrix with P = 1.

    weight W [K, out, in], h [K, N, in], image W h and delta [K, N, out], length ||h_i||, inner <g_i, W> and decay c_i
    [K, N]; batch is B.
    """
    norms = sample_norms(weight, h, image, delta, decay, length)
    mean = torch.bmm(delta.transpose(1, 2), h) / h.shape[1]
    eps_batch = torch.full_like(norms[:, 0], math.nan)
    if batch < h.shape[1]:
        gradient = mean + decay.mean(1)[:, None, None] * weight
        eps_batch = largest_batch(weight, h, delta, decay, inner, norms.argmax(1), gradient, batch)
    return {"norms": norms, "mean_gradient": mean, "eps_batch": eps_batch}


def shared_columns(weight: Tensor, gradients: Tensor, decay: Tensor, batch: int) -> dict[str, Tensor]:
    """The same of one net's matrix with P > 1, from its g_i [N, out in]; weight [out, in], decay [N]."""
    mean = gradients.mean(0).view_as(weight)
    a = gradients.addcmul_(decay[:, None], weight.flatten())
    norms, eps_batch = row_norms(a), weight.new_tensor(math.nan)
    if batch < len(a):
        towards = a @ a[norms.argmax()]
        eps_batch, gradient = _largest(a, torch.stack([towards, -towards, a @ a.mean(0)]), batch)
        for _ in range(STEPS):
            larger, gradient = _largest(a, (a @ gradient)[None], batch)
            eps_batch = torch.maximum(eps_batch, larger)
    return {"norms": norms[None], "mean_gradient": mean[None], "eps_batch": eps_batch[None]}


def _largest(a: Tensor, scores: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Of the batches of largest scores [S, N], the largest ||G_S|| and its G_S; a_i are rows of a [N, out in]."""
    gradients = torch.stack([a[rows].mean(0) for rows in scores.topk(batch).indices])
    norms = row_norms(gradients)
    return norms.max(), gradients[norms.argmax()]


def net_columns(
    net: ModuleNet, weights: list[Tensor], x: Tensor, targets: Tensor, task: Task, decay: Tensor, batch: int
) -> list[dict[str, Tensor]]:
    """For each matrix of one net the columns above, [1, ...]; `finite`, whether its gradients can be squared; and
    `of_data`, whether it is given the samples themselves.

    weights [rows, columns] each, in float64, x [N, n], targets [N, c], decay c_i [N].
    """
    places, matrices = list(net.places.values()), weights[: len(net.matrices)]
    found: list[list[tuple[Tensor, ...]]] = [[] for _ in places]
    for uses in net.uses_by_part(weights, x, targets, task):
        for parts, use in zip(found, uses, strict=True):
            one = use.h.shape[1] == 1
            parts.append((use.h[:, 0], use.delta[:, 0]) if one else (torch.bmm(use.delta.mT, use.h).flatten(1),))
    joined = [[torch.cat(kind) for kind in zip(*parts, strict=True)] for parts in found]
    sizes = [one.square().sum() for one in [*matrices, *(kind for kinds in joined for kind in kinds)]]
    finite = bool(torch.stack(sizes).isfinite().all())
    if not finite:  # the factorisations raise on nan and inf
        matrices = [torch.zeros_like(weight) for weight in matrices]
        joined = [[torch.zeros_like(kind) for kind in kinds] for kinds in joined]
    result = []
    for weight, kinds in zip(matrices, joined, strict=True):
        if len(kinds) == 1:
            row = shared_columns(weight, kinds[0], decay, batch)
        else:
            h, delta = (kind[None] for kind in kinds)
            image = h @ weight.T
            inner = torch.linalg.vecdot(delta, image)
            row = dense_columns(weight[None], h, image, delta, row_norms(h), inner, decay[None], batch)
        of_data = len(kinds) == 2 and kinds[0].shape == x.shape and bool((kinds[0] == x).all())
        result.append(row | {"finite": torch.tensor([finite]), "of_data": torch.tensor([of_data])})
    return result


def sample_rank(places: int, weight: Tensor) -> int:
    """R = min(P, out, in), which bounds the rank of every g_i; weight [..., out, in]."""
    return min(places, *weight.shape[-2:])
