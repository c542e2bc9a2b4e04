"""Norms of single samples' gradients with decay, and of matrices, that keep their digits where terms cancel."""

import torch
from torch import Tensor

from ranktwo.analysis.certificates.passes import frobenius, row_norms
from ranktwo.analysis.optimum.search import inverse


def tall(matrix: Tensor) -> Tensor:
    """M or its transpose, whichever has more rows: of those LAPACK finds the same singular values faster."""
    return matrix if matrix.shape[1] >= matrix.shape[2] else matrix.transpose(1, 2)


def _nearly_leading(weight: Tensor) -> Tensor:
    """A unit vector v [K, in] with ||W - W v v^T|| <= sqrt(2m + 1) d_1(W), W of m rows; 0 for W = 0.

    v is W^T W w / ||W^T W w||, w the longest row, whose length is at least ||W||/sqrt(m). If d_1 >= s_1/sqrt(2m) any v
    does, as ||W||^2 = s_1^2 + d_1^2. Else w has at least s_1/sqrt(2m) along the leading singular vector and at most d_1
    across, a ratio that W^T W reduces by (s_2/s_1)^2 < 1/(2m), to less than d_1/s_1.
    """
    v = _unit(weight[torch.arange(len(weight)), row_norms(weight).argmax(1)])
    u = _unit(torch.bmm(weight, v[..., None])[..., 0])  # a length in between: collapsed weights cubed could underflow
    return _unit(torch.bmm(u[:, None], weight)[:, 0])


def _unit(rows: Tensor) -> Tensor:
    """Each last-axis row over its length; 0 for 0."""
    return rows * inverse(row_norms(rows))[..., None]


def rank_distance(singular: Tensor, rank: int) -> Tensor:
    """d_r, [K], from singular values [K, q], largest first."""
    return torch.linalg.vector_norm(singular[:, rank:], dim=1)


def spectral_norm(matrix: Tensor) -> Tensor:
    """||M||_2, [K]: the root of the largest eigenvalue of the smaller Gram matrix, which loses digits only below it."""
    wide = tall(matrix).transpose(1, 2)
    scale = wide.abs().amax((1, 2)).clamp_min(torch.finfo(wide.dtype).tiny)
    wide = wide / scale[:, None, None]  # squares of a nearly stationary gradient could underflow
    return scale * torch.linalg.eigvalsh(torch.bmm(wide, wide.transpose(1, 2)))[:, -1].clamp_min(0).sqrt()


def sample_norms(weight: Tensor, h: Tensor, image: Tensor, delta: Tensor, decay: Tensor, length: Tensor) -> Tensor:
    """||g_i + c_i W||, [K, N], to rounding of ||g_i|| + c_i ||W||, though it may be far smaller than either.

    The textbook expansion c^2 ||W||^2 + 2 c <g_i, W> + ||g_i||^2 subtracts squares and loses half the digits where W
    nearly cancels g_i/c. Instead split the rows along xhat = x_i/||x_i|| (0 for x_i = 0) and across it, by
    P = I - xhat xhat^T:

        ||g_i + c W||^2 = ||c W xhat + ||x_i|| delta_i||^2 + c^2 ||W P||^2

    The first term subtracts vectors, not squares. For the second take any unit vector v, w = W v, R = W - w v^T and
    z = R^T w; as R v = 0 and z.v = 0,

        ||W P||^2 = ||w||^2 ||v - (v.xhat) xhat||^2 - 2 (v.xhat) (z.xhat) + ||R||^2 - ||W xhat - (v.xhat) w||^2

    which is at least d_1^2 (Eckart & Young). Subtracting costs nothing where ||R|| is of that size: near the leading
    right singular vector, see `_nearly_leading`. There z is small, and rounding in it, of size s_1^2, counts by
    z.(xhat - (v.xhat) v) only, as much as rounding of s_1 in ||W P||.

    weight [K, out, in], h [K, N, in], image W x_i [K, N, out], delta [K, N, out], decay [K, N], length ||x_i|| [K, N].
    """
    scale = inverse(length)
    v = _nearly_leading(weight)
    w = torch.bmm(weight, v[..., None])  # [K, out, 1]
    rest = torch.baddbmm(weight, w, v[:, None], alpha=-1)
    z = torch.bmm(w.transpose(1, 2), rest)[:, 0]
    z = z - torch.linalg.vecdot(z, v)[:, None] * v
    # c W xhat + ||x_i|| delta_i = ||x_i|| (delta_i + c/||x_i||^2 W x_i): one pass over [K, N, out].
    share = (decay * scale * scale).clamp_max_(torch.finfo(delta.dtype).max)
    along_square = (length * row_norms(torch.addcmul(delta, image, share[..., None]))).square()
    cosine, sine_square = cosine_and_sine_square(h, scale, v)
    turn = _along(h, z) * scale
    rest_image = (image * scale[..., None]).baddbmm_(cosine[..., None], w.transpose(1, 2), alpha=-1)
    rest_square = frobenius(rest).square()[:, None] - row_norms(rest_image).square()
    across_square = w.square().sum(1) * sine_square - 2 * cosine * turn + rest_square
    return (along_square + decay.square() * across_square.clamp_min_(0)).sqrt()


def _along(h: Tensor, v: Tensor) -> Tensor:
    """h_i.v, [K, N], of h [K, N, in] and v [K, in]."""
    return torch.bmm(v[:, None], h.transpose(1, 2))[:, 0]  # h v^T, with a single column, takes five times as long


def cosine_and_sine_square(h: Tensor, scale: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of the rows of h [K, N, in] with unit vectors v [K, in], and the squared sines, [K, N] each.

    `scale` [K, N] is 1/||h_i||, or 0 where h_i = 0, whose cosine is 0. The sine is 1 - cosine^2 where that loses fewer
    than two of sixteen digits, and ||v - (v.xhat) xhat|| where it would lose more.
    """
    cosine = _along(h, unit) * scale
    square = 1 - cosine.square()
    cell, sample = (square < 1e-2).nonzero(as_tuple=True)
    if len(cell):
        rest = unit[cell] - (cosine * scale)[cell, sample, None] * h[cell, sample]
        square[cell, sample] = row_norms(rest).square()
    return cosine, square
