"""Built-in data: heartbeats against an independent solution, digits, hare and lynx."""

import csv

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from unweave.data import (
    FACTORS,
    beat_shapes,
    beats,
    digits,
    hare_lynx,
    heartbeat_signals,
    heartbeats,
    split,
    typical_factors,
)

NAMES = [factor.name for factor in FACTORS]


def three_dimensional(factors, times):
    """z of equations 1 to 3 of McSharry et al., all three dimensions, by SciPy."""
    named = dict(zip(NAMES, factors, strict=True))
    omega = 2 * np.pi * named["heart rate"] / 60
    waves = [
        (named.get(f"{w} angle", 0.0), named[f"{w} height"], named[f"{w} width"]) for w in "PQRST"
    ]

    def field(t, state):
        x, y, z = state
        alpha = 1 - np.hypot(x, y)
        theta = np.arctan2(y, x)
        pull = 0.0
        for angle, height, width in waves:
            away = np.angle(np.exp(1j * (theta - angle)))
            pull -= height * away * np.exp(-(away**2) / (2 * width**2))
        return [alpha * x - omega * y, alpha * y + omega * x, pull - z]

    # thirty turns, so that the transient is gone; started off the limit cycle on purpose
    turns = 2 * np.pi / omega * 30
    solution = solve_ivp(
        field, (0, turns + times[-1]), [0.5, 0, 0], rtol=1e-9, atol=1e-10, max_step=0.01,
        t_eval=turns + times,
    )  # fmt: skip
    return solution.y[2]


@pytest.mark.parametrize("which", ["table 1", "drawn"])
def test_beats_agree_with_the_three_dimensional_system(which):
    factors = typical_factors() if which == "table 1" else heartbeats(1, seed=5).factors[0]
    factors = np.where([name in ("ST level", "noise") for name in NAMES], 0.0, factors)
    times = -0.25 + 0.7 / 256 * np.arange(256)
    expected = three_dimensional(factors, times)
    simulated = beat_shapes(factors[None, :])[0]
    # one scale to millivolts for all: fitted on Table 1, it must be the same for any factors
    slope, offset = np.polyfit(three_dimensional(typical_factors(), times),
                               beat_shapes(typical_factors()[None, :])[0], 1)  # fmt: skip
    np.testing.assert_allclose(simulated, slope * expected + offset, atol=2e-4)


def test_table_1_spans_the_papers_millivolts():
    turn = beat_shapes(typical_factors()[None, :], samples=1000, before=0.5, step=0.001)
    assert turn.min() == pytest.approx(-0.4)
    assert turn.max() == pytest.approx(1.2)
    assert abs(np.argmax(turn) * 0.001 - 0.5) < 0.01


def test_a_beat_does_not_depend_on_how_it_is_sampled():
    factors = heartbeats(4, seed=2).factors
    coarse = beat_shapes(factors, samples=32, step=0.7 / 32)
    fine = beat_shapes(factors, samples=512, step=0.7 / 512)
    np.testing.assert_allclose(coarse, fine[:, ::16], atol=1e-5)


def test_the_rhythm_is_periodic():
    factors = heartbeats(3, seed=4).factors
    for row in factors:
        period = 60 / row[0]
        two = beat_shapes(row[None, :], samples=201, before=period, step=period / 100)[0]
        np.testing.assert_allclose(two[:100], two[100:200], atol=1e-5)


def test_factors_do_what_their_names_say():
    base = typical_factors()
    times = -0.25 + 0.7 / 256 * np.arange(256)

    def changed(name, by):
        factors = base.copy()
        factors[NAMES.index(name)] += by
        return beat_shapes(factors[None, :])[0] - beat_shapes(base[None, :])[0]

    st_segment = (times > 0.12) & (times < 0.18)
    np.testing.assert_allclose(changed("ST level", 0.2)[st_segment], 0.2, atol=0.02)
    assert np.abs(changed("ST level", 0.2)[times < 0]).max() < 0.005
    assert abs(times[np.argmax(changed("R height", 5.0))]) < 0.01
    assert abs(times[np.argmax(changed("T height", 0.5))] - 0.25) < 0.03
    assert abs(times[np.argmax(changed("P height", 0.5))] + 1 / 6) < 0.03


def test_heartbeats_keep_their_factors_and_repeat():
    data, again, other = heartbeats(50, seed=1), heartbeats(50, seed=1), heartbeats(50, seed=2)
    np.testing.assert_array_equal(data.observations, again.observations)
    assert np.any(data.observations != other.observations)
    assert data.observations.shape == (50, 256, 1)
    assert data.factors.shape == (50, len(data.factor_names))
    assert len(set(data.factor_names)) == len(FACTORS)
    low, high = [f.low for f in FACTORS], [f.high for f in FACTORS]
    assert np.all((data.factors >= low) & (data.factors <= high))
    noise = data.observations[..., 0] - beat_shapes(data.factors)
    np.testing.assert_allclose(noise.std(axis=1), data.factors[:, -1], rtol=0.25)


def test_a_simulated_recording_goes_the_whole_way():
    signals = heartbeat_signals(4, seconds=40.0, seed=0)
    assert [s.record for s in signals] == ["patient 1", "patient 2", "patient 3", "patient 4"]
    annotated = beats(signals)
    # found without the annotations, the peaks are the same
    bare = [type(s)(s.record, s.group, s.values, s.times, s.channels, s.units) for s in signals]
    found = beats(bare)
    assert abs(len(found) - len(annotated)) <= 0.06 * len(annotated)
    for signal in signals:
        a, b = (d.spans[d.records == signal.record, 0] for d in (annotated, found))
        assert np.mean(np.abs(a[:, None] - b).min(axis=1) <= 0.008) > 0.9
        between = np.diff(signal.times[signal.events])
        assert 0.01 < between.std() / between.mean() < 0.1
        assert 50 <= 60 / between.mean() <= 100
    # beats of one patient are more alike than beats of two
    means = np.stack(
        [annotated.observations[annotated.records == s.record].mean(0) for s in signals]
    )
    inside = annotated.observations - means[np.unique(annotated.records, return_inverse=True)[1]]
    assert inside.var() < 0.5 * annotated.observations.var()
    parts = split(annotated)
    assert not set(parts.test.groups) & set(parts.train.groups)


def test_worlds_refuse():
    with pytest.raises(ValueError, match="at least 1"):
        heartbeats(0)
    with pytest.raises(ValueError, match="at least 1"):
        heartbeat_signals(0)
    with pytest.raises(ValueError, match="no clear heartbeat"):
        heartbeat_signals(1, rate=10.0)


def test_digits_are_scikit_learns():
    data = digits()
    assert data.observations.shape == (1797, 8, 8, 1)
    assert data.observations.dtype == np.uint8
    assert data.observations.max() == 16
    assert np.bincount(data.labels).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert data.label_names[3] == "3"


def test_hare_and_lynx_are_the_published_table(real_data):
    signal = hare_lynx()
    assert signal.values.shape == (21, 2)
    assert signal.time_unit == "year"
    with open(real_data / "populations" / "hare_lynx_1900_1920.csv", newline="") as file:
        table = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    np.testing.assert_array_equal(np.column_stack([signal.times, signal.values]), table)
