"""Products of two matrices of a net that act as one, as W_Q^T W_K and W_O W_V of a head of attention do."""

from typing import NamedTuple

from torch import Tensor


class Product(NamedTuple):
    """The product A B, over some inner units, of two matrices between which nothing stands.

    B has the rows `inner` of the matrix `right`. A has the columns `inner` of the matrix `left`, or, if `turned`, its
    rows, transposed. With W_Q, W_K, W_V [units, in] and W_O [out, units], and the units of one head,
    Product("Q", "K", units, turned=True) is W_Q^T W_K [in, in], and Product("O", "V", units) is W_O W_V [out, in].
    """

    left: str
    """A matrix by its name; in the module that declares the product, the name of the layer in that module."""
    right: str
    inner: tuple[int, int]
    """The first of the inner units, and the one behind the last."""
    turned: bool = False

    def factors(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """A [..., rows, units] and B [..., units, columns] of the two matrices [..., out, in]."""
        units = slice(*self.inner)
        return left[..., units, :].mT if self.turned else left[..., units], right[..., units, :]
