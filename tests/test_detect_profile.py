"""The matrix profile against distances between stretches, one by one."""

import importlib.util

import numpy as np
import pytest

from unweave import detect


def test_without_stumpy_it_says_what_to_do():
    if importlib.util.find_spec("stumpy") is not None:
        pytest.skip("stumpy is installed")
    with pytest.raises(ImportError, match=r"pip install 'unweave\[profile\]'"):
        detect.matrix_profile(8).fit(np.zeros((3, 20, 1)))


def test_it_is_the_distance_to_the_nearest_stretch():
    pytest.importorskip("stumpy")
    rng = np.random.default_rng(0)
    normal, new = rng.normal(size=(6, 30, 2)), rng.normal(size=(3, 30, 2))
    new[1, 4] = np.nan

    def alike(x):
        parts = np.lib.stride_tricks.sliding_window_view(x, 8, axis=1)
        return (parts - parts.mean(-1, keepdims=True)) / parts.std(-1, keepdims=True)

    known, asked = alike(normal).swapaxes(1, 2), alike(new).swapaxes(1, 2)
    apart = np.linalg.norm(
        asked[:, :, :, None, None] - known.swapaxes(0, 1)[None, :, None], axis=-1
    )
    profile = apart.min((-1, -2)).mean(1)
    score = detect.matrix_profile(8).fit(normal)
    np.testing.assert_allclose(score(new), np.nanmax(profile, axis=1), rtol=1e-6)
    assert score.by_sample(new).shape == (3, 30)
    series = rng.normal(size=200)
    series[100:120] = 3 * series[40:60] + 1
    assert detect.self_profile(series, 20)[[40, 100]] == pytest.approx([0, 0], abs=1e-3)


def test_series_that_are_too_short_are_refused(monkeypatch):
    monkeypatch.setattr(detect._profile, "_stumpy", lambda: None)
    with pytest.raises(ValueError, match="3 <= length <= samples"):
        detect.matrix_profile(40).fit(np.zeros((3, 20, 1)))
