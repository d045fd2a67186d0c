"""How the equations' tests hold an implementation to what was worked out by hand."""

import numpy as np
import pytest
import torch

DIFFERENT_SHAPES = [((3, 1), (3,)), ((1,), (3,)), ((3,), ())]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def agrees(fn, arguments, value, slopes=None, **options):
    """`value` is what comes out and `slopes` its derivative by each argument, to 1e-12."""
    leaves = [double(argument).requires_grad_() for argument in arguments]
    out = fn(*leaves, **options)
    assert out.shape == np.shape(value)
    np.testing.assert_allclose(out.detach(), value, rtol=0, atol=1e-12)
    if slopes is not None:
        assert out.requires_grad
        found = torch.autograd.grad(out.sum(), leaves, materialize_grads=True)
        for gradient, slope in zip(found, slopes, strict=True):
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-12)


def each(checks):
    """Every implementation with its check."""
    return pytest.mark.parametrize(
        ("check", "fn"), [pytest.param(check, fn, id=fn.__name__) for check, fn, _ in checks]
    )


def each_wrong(checks):
    """Every wrong variant with the check that must not let it pass."""
    return pytest.mark.parametrize(
        ("check", "wrong"),
        [
            pytest.param(check, variant, id=f"{fn.__name__}: {name}")
            for check, fn, variants in checks
            for name, variant in variants.items()
        ],
    )
