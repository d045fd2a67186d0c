"""The losses of LR²PPO, as pure functions. Equation numbers are the paper's."""

from torch import Tensor


def smooth_l1(p: Tensor, y: Tensor, beta: float = 0.3) -> Tensor:
    """Stage 1 (Eq. 3), the mean over all labels.

        L(p) = 0.5 (p − y)² / β   if |p − y| < β,
               |p − y| − 0.5 β    otherwise.

    Both branches meet at |p − y| = β with the value β / 2 and the slope 1.

    Args:
        p: (n,) predicted relevance.
        y: (n,) relevance in the data: 2 high, 1 medium, 0 low.
        beta: where the parabola turns into a line, above 0; the paper's appendix C.3 says 0.3.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ (they would broadcast), or beta is not above 0.
    """
    if p.shape != y.shape:
        raise ValueError(f"predicted {tuple(p.shape)}, wanted {tuple(y.shape)}")
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}")
    distance = (p - y).abs()
    losses = (0.5 * distance**2 / beta).where(distance < beta, distance - 0.5 * beta)
    return losses.mean()
