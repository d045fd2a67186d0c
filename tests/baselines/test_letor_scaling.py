"""Features on one scale: by hand, with gaps, in pieces, and from training documents alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import baselines.letor.scaling as module
from baselines.letor.scaling import Scaling

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_standard_by_hand():
    """Mean 3, variance (4 + 0 + 4) / 3."""
    scaling = Scaling.fit(column(1, 3, 5), "standard")
    assert scaling.mean == pytest.approx([3], abs=1e-12)
    assert scaling.spread == pytest.approx([math.sqrt(8 / 3)], abs=1e-12)
    found = scaling(column(1, 3, 7))
    expected = [-2 / math.sqrt(8 / 3), 0, 4 / math.sqrt(8 / 3)]
    assert found.dtype == np.float32
    assert found[:, 0] == pytest.approx(expected, abs=1e-6)


def test_log_by_hand():
    """log(1 + abs(x)) with the sign of x: −1, 0 and 2 are mean 1/3, variance 14/9."""
    scaling = Scaling.fit(column(1 - math.e, 0, math.e**2 - 1))
    assert scaling.kind == "log"
    assert scaling.mean == pytest.approx([1 / 3], abs=1e-7)
    assert scaling.spread == pytest.approx([math.sqrt(14) / 3], abs=1e-7)
    found = scaling(column(math.e - 1, 1 - math.e**3))
    expected = [(1 - 1 / 3) / (math.sqrt(14) / 3), (-3 - 1 / 3) / (math.sqrt(14) / 3)]
    assert found[:, 0] == pytest.approx(expected, abs=1e-6)


def test_what_is_not_known_is_the_mean_and_is_said():
    training = np.array([[1, NAN, 5, NAN], [3, NAN, 5, 2], [5, NAN, NAN, 4]], np.float32)
    scaling = Scaling.fit(training, "standard")
    assert scaling.mean == pytest.approx([3, 0, 5, 3])
    assert scaling.spread == pytest.approx([math.sqrt(8 / 3), 1, 1, 1])
    assert scaling.gaps.tolist() == [1, 2, 3]
    assert scaling.columns == 7
    found = scaling(np.array([[NAN, 2, NAN, 5], [3, NAN, 6, NAN]], np.float32))
    # The first feature lacks no value in training: its gap is the mean, and nothing says so.
    assert found.tolist() == [[0, 2, 0, 2, 0, 1, 0], [0, 0, 1, 0, 1, 0, 1]]


def test_constant_features_do_not_shout():
    training = np.tile(np.array([7, 0, 1e8, 1e-9], np.float32), (50, 1))
    training[0, 3] = 2e-9
    training[0, 2] += 8  # one step of float32, and rounding as far as anybody can tell
    scaling = Scaling.fit(training, "standard")
    assert scaling.spread.tolist() == [1, 1, 1, 1]
    assert scaling(training[1:2])[0, :2].tolist() == [0, 0]
    assert scaling(np.array([[8, 1, 1e8, 0]], np.float32))[0, :2].tolist() == [1, 1]


def test_large_and_negative_values():
    training = column(1e8, -1e8, 3e8, 0)
    for kind in ("log", "standard"):
        found = Scaling.fit(training, kind)(training)[:, 0].astype(np.float64)
        assert np.isfinite(found).all()
        assert found.mean() == pytest.approx(0, abs=1e-6)
        assert found.std() == pytest.approx(1, abs=1e-6)
        assert np.argsort(found).tolist() == [1, 3, 0, 2]
    # In single precision, the mean of these is lost.
    near = column(*(1e8 + 8 * i for i in range(3000)))
    scaling = Scaling.fit(near, "standard")
    assert scaling.mean[0] == pytest.approx(near.astype(np.float64).mean(), rel=1e-12)


def plain(training: np.ndarray, x: np.ndarray, log: bool) -> np.ndarray:
    """The same by loops in Python's floats."""
    columns, says = [], []
    for j in range(training.shape[1]):

        def of(v: float) -> float:
            return math.copysign(math.log1p(abs(v)), v) if log else v

        known = [of(float(v)) for v in training[:, j] if not math.isnan(v)]
        mean = math.fsum(known) / len(known) if known else 0.0
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / max(len(known), 1))
        spread = 1.0 if spread < max(1e-7, 1e-4 * abs(mean)) else spread
        columns.append([0.0 if math.isnan(v) else (of(float(v)) - mean) / spread for v in x[:, j]])
        if len(known) < len(training):
            says.append([float(math.isnan(v)) for v in x[:, j]])
    return np.array([*columns, *says]).T


VALUES = st.floats(-1e6, 1e6, width=32) | st.just(NAN) | st.integers(-3, 3)
BLOCKS = npst.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=VALUES)


@given(training=BLOCKS, x=BLOCKS, kind=st.sampled_from(["log", "standard"]))
def test_as_a_plain_loop_has_it(training, x, kind):
    found = Scaling.fit(training, kind)(x)
    assert not np.isnan(found).any()
    assert found == pytest.approx(plain(training, x, kind == "log"), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
@pytest.mark.parametrize("kind", ["log", "standard"])
def test_in_pieces_it_is_the_same(rows, kind, monkeypatch):
    draw = np.random.default_rng(4)
    x = (draw.normal(size=(200, 4)) * [1, 1e3, 1e-2, 1e8]).astype(np.float32)
    x[draw.random(x.shape) < 0.2] = NAN
    whole = Scaling.fit(x, kind)
    expected = whole(x)
    monkeypatch.setattr(module, "_ROWS", rows)
    found = Scaling.fit(x, kind)
    assert found.mean == pytest.approx(whole.mean, rel=1e-12)
    assert found.spread == pytest.approx(whole.spread, rel=1e-12)
    assert found.gaps.tolist() == whole.gaps.tolist() == [0, 1, 2, 3]
    assert whole(x).tobytes() == expected.tobytes()  # a row's place in a piece changes nothing


def test_other_features_than_in_training():
    scaling = Scaling.fit(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="4 features, where training had 3"):
        scaling(np.zeros((2, 4), np.float32))


def test_what_is_scaled_is_left_as_it_was():
    x = np.array([[1, NAN], [2, 3]], np.float32)
    before = x.tobytes()
    Scaling.fit(x)(x)
    assert x.tobytes() == before


def test_small_values_that_differ_are_seen():
    x = np.array([[1e-6], [3e-6], [5e-6]], np.float32)
    found = Scaling.fit(x, "standard")(x)
    assert found[:, 0] == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5], abs=1e-5)
