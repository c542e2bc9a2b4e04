"""Transformer encoders (Vaswani et al., arXiv 1706.03762) on patches of an image (Dosovitskiy et al., 2010.11929)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranktwo.errors import UserError
from ranktwo.nets.blueprint import Blueprint, net
from ranktwo.nets.products import Product

GRID = 4
"""Patches along a side of an image; one for each pixel where there are fewer."""
HEAD = 16
"""Units of a head; a block of fewer has one head of them all."""
GROWTH = 4
"""Units of the dense layers of a block, over its width."""


class Patches(nn.Module):
    """Samples [N, channels, height, width] or [N, n] to tokens [N, T, numbers of a patch].

    A side is cut into 4 patches of equal length, zeros filling up the last; a vector is an image of one row.
    """

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self._shape = plan.shape if len(plan.shape) == 3 else (1, 1, *plan.shape)
        channels, *sides = self._shape
        self._patch = [math.ceil(side / GRID) for side in sides]
        self._grid = [math.ceil(side / length) for side, length in zip(sides, self._patch, strict=True)]
        down, right = (n * length - side for n, length, side in zip(self._grid, self._patch, sides, strict=True))
        self._fill = (0, right, 0, down)
        self.tokens, self.numbers = math.prod(self._grid), channels * math.prod(self._patch)

    def forward(self, x: Tensor) -> Tensor:
        image = functional.pad(x.reshape(-1, *self._shape), self._fill)
        (rows, columns), (high, wide) = self._grid, self._patch
        cut = image.unflatten(3, (columns, wide)).unflatten(2, (rows, high))
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(len(x), self.tokens, self.numbers)


class Block(nn.Module):
    """h + attention(norm(h)), and then the same with two dense layers for the attention. h [N, T, width].

    A head's attention is softmax(Q^T K / sqrt(units)) over the tokens, of queries W_Q h and keys W_K h, and what it
    adds is W_O W_V h of the tokens in these shares. W_Q, W_K, W_V and W_O have no biases, so that a head is a function
    of W_Q^T W_K and W_O W_V.
    """

    def __init__(self, width: int, heads: int, plan: Blueprint) -> None:
        super().__init__()
        self._heads, self._units = heads, width // heads
        self.norm1, self.norm2 = plan.normalise(width, tokens=True), plan.normalise(width, tokens=True)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up, self.activation = nn.Linear(width, GROWTH * width, bias=plan.bias), plan.activate()
        self.down = nn.Linear(GROWTH * width, width, bias=plan.bias)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norm1(h))
        return h + self.down(self.activation(self.up(self.norm2(h))))

    def attention(self, h: Tensor) -> Tensor:
        query, key, value = (
            layer(h).unflatten(-1, (self._heads, self._units)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        shares = (query @ key.mT / math.sqrt(self._units)).softmax(-1)
        return self.out((shares @ value).transpose(1, 2).flatten(2))

    def products(self) -> dict[str, Product]:
        found = {}
        for head in range(self._heads):
            units = (head * self._units, (head + 1) * self._units)
            found[f"head{head + 1}.QK"] = Product("query", "key", units, turned=True)
            found[f"head{head + 1}.OV"] = Product("out", "value", units)
        return found


class Transformer(nn.Module):
    """Patches, each times V plus its position, then blocks, the mean over the tokens, and a dense layer."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        width = plan.widths[0]
        heads = max(1, width // HEAD)
        if set(plan.widths) != {width} or width % heads:
            raise UserError(
                f"a transformer has blocks of one width, a multiple of {HEAD} or less than {2 * HEAD}, not "
                f"{list(plan.widths)}; two blocks of {HEAD} units are widths: [[{HEAD}, {HEAD}]]"
            )
        self.patches = Patches(plan)
        self.embedding = nn.Linear(self.patches.numbers, width, bias=plan.bias)
        self.register_buffer("positions", _positions(self.patches.tokens, width))
        self.blocks = [f"block{number}" for number in range(1, len(plan.widths) + 1)]
        for name in self.blocks:
            self.add_module(name, Block(width, heads, plan))
        self.norm, self.dense = plan.normalise(width, tokens=True), nn.Linear(width, plan.outputs, bias=plan.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embedding(self.patches(x)) + self.positions
        for name in self.blocks:
            h = self.get_submodule(name)(h)
        return self.dense(self.norm(h).mean(1))


def _positions(tokens: int, width: int) -> Tensor:
    """Sines and cosines of the token's number, [T, width], at wavelengths from 2 pi to 10,000 times that; not trained.

    Of Vaswani et al., section 3.5.
    """
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(tokens)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


@net("transformer")
def transformer(plan: Blueprint) -> nn.Module:
    """A transformer encoder with a block for each of `widths`, which are equal."""
    return Transformer(plan)
