"""The Fréchet distance of codes, piece by piece against what it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unweave import legacy_context_fid
from unweave.evaluate import _context_fid as c
from unweave.evaluate import frechet_distance

KEY = jax.random.key(3)


def test_the_frechet_distance_is_that_of_two_normals():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200_000, 2)) * np.array([[[1.0, 2.0]], [[3.0, 0.5]]])
    b = b + np.array([1.0, 0.0])
    # axes that agree: the means' square and that of the deviations' differences
    assert frechet_distance(a, b) == pytest.approx(1 + (3 - 1) ** 2 + (2 - 0.5) ** 2, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_what_lies_outside_a_crop_is_not_read():
    encoder = c.Encoder(2, 12, key=KEY)
    x = jax.random.normal(KEY, (12, 2))
    inside, seen = jnp.arange(12) < 9, jnp.ones(12, bool)
    got = encoder(x, inside, seen)[:9]
    np.testing.assert_allclose(got, encoder(x.at[9:].set(9.0), inside, seen)[:9], atol=1e-6)
    # zeros around a short window are what a convolution pads it with
    alone = encoder(x[:9], jnp.ones(9, bool), seen[:9])
    np.testing.assert_allclose(got, alone, atol=1e-5)


def test_both_crops_hold_the_shared_samples():
    for key in jax.random.split(KEY, 50):
        cut = c.crops(key, 4, 24)
        starts, lengths = np.asarray(cut.starts), np.asarray(cut.lengths)
        assert (starts >= 0).all()
        assert (starts + lengths[:, None] <= 24).all()
        np.testing.assert_array_equal(starts[0] + int(cut.ahead), starts[1])
        assert 2 <= cut.shared <= lengths.min()
        assert cut.ahead + cut.shared == lengths[0]


def by_hand(a, b):
    """The loss of Yue et al. (2022), equations 1 to 3 and algorithm 1, with loops."""
    total, scales = 0.0, 0
    while True:
        rows, time = a.shape[:2]
        views = (a, b), (b, a)
        instance = temporal = 0.0
        for mine, other in views:
            for i in range(rows):
                for t in range(time):
                    z, hit = mine[i, t], mine[i, t] @ other[i, t]
                    rest = [z @ y[j, t] for y in (mine, other) for j in range(rows)]
                    rest.remove(z @ z)
                    instance += np.log(np.exp(rest).sum()) - hit
                    rest = [z @ y[i, s] for y in (mine, other) for s in range(time)]
                    rest.remove(z @ z)
                    temporal += np.log(np.exp(rest).sum()) - hit
        total += 0.5 * instance / (2 * rows * time)
        total += 0.5 * temporal / (2 * rows * time) if time > 1 else 0
        scales += 1
        if time == 1:
            return total / scales
        a, b = (z[:, : time // 2 * 2].reshape(rows, time // 2, 2, -1).max(2) for z in (a, b))


@pytest.mark.parametrize("shared", [2, 5, 8])
def test_the_contrastive_loss_is_that_of_the_paper(shared):
    a, b = np.random.default_rng(0).normal(size=(2, 3, 8, 4)).astype(np.float32)
    got = c.contrast(jnp.asarray(a), jnp.asarray(b), jnp.asarray(shared))
    assert float(got) == pytest.approx(by_hand(a[:, :shared], b[:, :shared]), rel=1e-4)


@pytest.fixture(scope="module")
def sines():
    rate, phase = np.random.default_rng(0).uniform(0, 0.1, (2, 300, 1, 3))
    return np.sin(rate * np.arange(8)[:, None] + phase)


@pytest.mark.slow
def test_noise_is_farther_than_the_floor_and_the_seed_decides(sines):
    noisy = sines[:100] + 0.3 * np.random.default_rng(1).normal(size=(100, 8, 3))
    told = legacy_context_fid(sines[100:200], noisy, others=sines[200:], steps=20)
    assert told.value > 3 * told.floor > 0
    assert told.seen == pytest.approx(told.value, rel=0.3)
    assert "legacy Context-FID" in told.sentence()
    again = legacy_context_fid(sines[100:200], noisy, others=sines[200:], steps=20)
    assert again == told


def test_what_it_is_not_for_is_said(sines):
    with pytest.raises(ValueError, match="is for windows"):
        legacy_context_fid(sines[:50, 0], sines[:50, 0])
