"""In how many directions the rows of a matrix point, and how far the inputs' directions are from one."""

import math

import numpy as np
import torch
from torch import Tensor

from ranktwo.analysis.certificates.norms import cosine_and_sine_square
from ranktwo.analysis.certificates.passes import row_norms
from ranktwo.analysis.optimum.search import inverse


def data_floor(x: Tensor) -> Tensor:
    """sqrt(1 - lambda_max((1/N) sum_i xhat_i xhat_i^T)), xhat_i = x_i/||x_i||, [K]: the normalised inputs' own relative
    distance from rank one. Exactly 1 if some x_i = 0.

    For every W and mu > 0, max_i ||W + g_i/mu|| / ||W|| >= floor, so no training pushes the paper's bound under it.
    Proof. g_i has rows along xhat_i, so ||W + g_i/mu||^2 >= ||W (I - xhat_i xhat_i^T)||^2 = ||W||^2 - ||W xhat_i||^2.
    The maximum is at least the mean over i: ||W||^2 - tr(W C W^T) >= (1 - lambda_max(C)) ||W||^2, C as above.
    A sample with x_i = 0 has g_i = 0, so its own term is ||W||: the maximum is then at least ||W||.

    x: [N, n], which gives [1], or [K, N, n]. For the first matrix this is a number of the data set alone.
    """
    x = x.double().reshape(-1, *x.shape[-2:])
    length = torch.linalg.vector_norm(x, dim=2)
    scale = inverse(length)
    unit = x * scale[..., None]
    best = torch.linalg.eigh(torch.bmm(unit.transpose(1, 2), unit)).eigenvectors[..., -1]
    # By the residual of the best direction, not by 1 - lambda: nearly equal inputs would leave only rounding.
    floor = cosine_and_sine_square(x, scale, best)[1].mean(1).sqrt()
    return torch.where((length == 0).any(1), 1.0, floor)


def distinct_directions(weight: Tensor, *, cosine: float = 0.99, relative_norm: float = 1e-3) -> Tensor:
    """How many directions the rows w_j (the neurons' input weights) point in, [K]; null where W = 0.

    Rows of at most `relative_norm` times the longest are left out. From the longest row down, a row opens a new
    direction unless its cosine with a row that opened one before exceeds `cosine`; the sign counts, as
    relu(-z) is not -relu(z). (Leaders, not connected components: a chain of small turns is not one direction.)
    """
    norms, order = row_norms(weight).sort(dim=1, descending=True, stable=True)
    unit = weight[torch.arange(len(weight))[:, None], order] * inverse(norms)[..., None]
    near = (torch.bmm(unit, unit.transpose(1, 2)) > cosine).cpu().numpy()
    left_out = (norms <= relative_norm * norms[:, :1]).cpu().numpy()
    # A set of rows is the bits of an integer.
    rows, claimed = (np.packbits(sets, axis=-1, bitorder="little") for sets in (near, left_out))
    counts = []
    for cell_rows, cell_claimed in zip(rows, claimed, strict=True):
        count, taken = 0, int.from_bytes(cell_claimed, "little")
        for number, like_it in enumerate(cell_rows):
            if not taken >> number & 1:
                count, taken = count + 1, taken | int.from_bytes(like_it, "little")
        counts.append(count or math.nan)
    return torch.tensor(counts, dtype=weight.dtype, device=weight.device)
