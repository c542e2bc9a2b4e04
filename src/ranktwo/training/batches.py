"""The batches of each seed: which training rows each step sees."""

import torch
from torch import Tensor

from ranktwo.nets.streams import stream

CHUNK = 128
"""Steps that are prepared together. Where torch takes steps on a GPU, this many are recorded once and then repeated."""


class Batches:
    """Mini-batches of each of S seeds: the N rows in a random order, cut into floor(N/B) batches, then a new order.

    The last N mod B rows of each order are left out, so that every batch has B rows. Cells of one seed see the same
    batches. A batch of all N rows needs no order and has none: `take` then returns None.
    """

    def __init__(self, seeds: list[int], train_size: int, batch_size: int) -> None:
        self.train_size, self.batch_size = train_size, batch_size
        self._generators = [stream(seed, "batches") for seed in seeds]
        self._ahead = torch.empty(len(seeds), 0, batch_size, dtype=torch.long)

    def take(self, count: int) -> Tensor | None:
        """Row numbers of the next `count` batches, [count, S, B]."""
        if self.batch_size == self.train_size:
            return None
        batches_per_order = self.train_size // self.batch_size
        parts, drawn = [self._ahead], self._ahead.shape[1]
        while drawn < count:
            orders = [torch.randperm(self.train_size, generator=generator) for generator in self._generators]
            used = torch.stack(orders)[:, : batches_per_order * self.batch_size]
            parts.append(used.view(len(orders), batches_per_order, self.batch_size))
            drawn += batches_per_order
        ahead = torch.cat(parts, dim=1) if len(parts) > 1 else self._ahead
        self._ahead = ahead[:, count:]
        return ahead[:, :count].transpose(0, 1).contiguous()

    def skip(self, count: int) -> None:
        """Leave out the next `count` batches, as if they had been taken."""
        for done in range(0, count, CHUNK):
            self.take(min(CHUNK, count - done))
