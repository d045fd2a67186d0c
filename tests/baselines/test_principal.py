"""Principal components against scikit-learn's, and by hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

import baselines.principal
from baselines.principal import principal_components


def cloud(n, d, seed=0):
    """Rows that vary by clearly different amounts in d directions, off the origin."""
    draw = np.random.default_rng(seed)
    turn = np.linalg.qr(draw.normal(size=(d, d)))[0]
    rows = draw.normal(size=(n, d)) * 2.0 ** -np.arange(d) @ turn + 3 * draw.normal(size=d)
    return rows.astype(np.float32)


@pytest.mark.parametrize(("n", "d", "k"), [(300, 6, 6), (300, 6, 2), (5, 8, 3)])
@pytest.mark.parametrize("rows", [4096, 7])
def test_against_another_implementation(n, d, k, rows, monkeypatch):
    monkeypatch.setattr(baselines.principal, "_ROWS", rows)
    x = cloud(n, d)
    found = principal_components(x, k)
    theirs = PCA(k, svd_solver="full").fit(x.astype(np.float64))
    signs = np.sign(np.einsum("kd,kd->k", found.directions, theirs.components_))
    assert found.mean == pytest.approx(theirs.mean_, abs=1e-6)
    assert found.directions == pytest.approx(theirs.components_ * signs[:, None], abs=2e-5)
    other = cloud(20, d, seed=1)
    assert found(other) == pytest.approx(theirs.transform(other) * signs, abs=2e-4)
    largest = np.abs(found.directions).argmax(1)
    assert (found.directions[np.arange(k), largest] > 0).all()


def test_by_hand():
    # Along (-3, 4) / 5 the rows stand at -2, 0, 2 from their mean (1, 2); across it nothing varies.
    x = np.array([[2.2, 0.4], [1, 2], [-0.2, 3.6]], np.float32)
    found = principal_components(x, 2)
    assert found.mean == pytest.approx([1, 2], abs=1e-6)
    assert found.directions == pytest.approx(np.array([[-0.6, 0.8]]), abs=1e-6)
    assert found(x) == pytest.approx(np.array([[-2], [0], [2]]), abs=1e-5)


@pytest.mark.parametrize("value", [0.1, 0.0, 1e4])
@pytest.mark.parametrize("rows", [1, 4, 7, 100])
def test_rows_that_do_not_vary_have_no_components(rows, value):
    x = np.full((rows, 3), value, np.float32)
    found = principal_components(x, 2)
    assert found.directions.shape == (0, 3) and found(x).shape == (rows, 0)


def test_a_row_alone_is_as_among_others():
    x = cloud(200, 40)
    found = principal_components(x, 30)
    together = found(x)
    assert together.dtype == np.float32
    assert np.array_equal(np.concatenate([found(row[None]) for row in x]), together)
    copied = type(found)(*(np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for a in found))
    assert np.array_equal(copied(x), together)
