"""Lists of items as the networks of learning to rank take them, padded to one length."""

from typing import NamedTuple

from torch import Tensor


class Lists(NamedTuple):
    """Some lists. An item is a label of a clip, or a document of a query."""

    x: Tensor
    """(b, n, d) features of the items, single precision; 0 at padding."""
    mask: Tensor
    """(b, n) true where there is an item."""
    initial: Tensor
    """(b, n) scores of an earlier ranking, for methods that read a list in an order; 0 at
    padding."""
