"""Figures of a fitted equation: the data reach the drawing, in their units, with plain names."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from accounts import arrays
from unweave import plots
from unweave.plots._equation import autocorrelation
from unweave.plots._style import FAINT

NAMES = ("x", "v")
HOSTILE = ("<script>alert(1)</script>", "US$ / $x^2$", "a\nb\x00", "心拍", "_hidden", "x" * 500)


def words(figure):
    return [e.text or "" for e in ET.fromstring(plots.svg(figure)).iter() if "text" in e.tag]


def drawn(a, channels=NAMES, **changes):
    pick = slice(len(channels))
    said = {
        "units": ("m", "m/s")[: len(channels)], "time_unit": "s",
        "curve_band": (a["curve_low"][..., pick], a["curve_high"][..., pick]),
        "data_band": (a["data_low"][..., pick], a["data_high"][..., pick]), **changes,
    }  # fmt: skip
    return plots.fit(
        a["times"], a["observed"][..., pick], a["curve_times"], a["curve"][..., pick],
        channels=channels, **said,
    )  # fmt: skip


def lines(axes, colour, marker="None"):
    return [
        line
        for line in axes.lines
        if to_rgb(line.get_color()) == to_rgb(colour) and line.get_marker() == marker
    ]


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_a_record_has_a_column_and_a_channel_a_row():
    a = arrays(2)
    figure = drawn(a, records=("first", "second"))
    assert len(panels(figure)) == 4
    for place, axes in enumerate(panels(figure)):
        channel, record = divmod(place, 2)
        (dots,) = lines(axes, plots.INK, "o")
        seen = np.isfinite(a["observed"][record, :, channel])
        np.testing.assert_allclose(dots.get_xdata(), a["times"][record, seen])
        np.testing.assert_allclose(dots.get_ydata(), a["observed"][record, seen, channel])
        (curve,) = lines(axes, plots.ACCENT)
        np.testing.assert_allclose(curve.get_ydata(), a["curve"][record, :, channel])
        data, band = axes.collections
        for kind, shape in (("data", data), ("curve", band)):
            corners = shape.get_paths()[0].vertices[:, 1]
            assert corners.min() == pytest.approx(a[f"{kind}_low"][record, :, channel].min())
            assert corners.max() == pytest.approx(a[f"{kind}_high"][record, :, channel].max())
        low, high = axes.get_ylim()
        assert low <= dots.get_ydata().min() <= dots.get_ydata().max() <= high
    said = words(figure)
    assert {"x (m)", "v (m/s)", "time (s)", "first", "second", "data", "fit"} <= set(said)
    assert {"90 % of the curve", "90 % of the data"} <= set(said)


@pytest.mark.parametrize(
    ("records", "channels", "count"),
    [(1, 1, 1), (1, 2, 2), (4, 2, 8), (5, 1, 5), (30, 1, 24), (11, 2, 16)],
)
def test_of_many_records_some_are_drawn_and_the_rest_counted(records, channels, count):
    figure = drawn(arrays(records, 20), NAMES[:channels])
    assert len(panels(figure)) == count
    left = records * channels - count
    axis = f"time (s); {left} more panels are not drawn" if left else "time (s)"
    assert axis in words(figure)


def test_five_channels_of_one_record_stand_in_two_columns():
    rng = np.random.default_rng(0)
    times, fine = np.arange(9.0)[None], np.linspace(0, 8, 30)[None]
    figure = plots.fit(
        times, rng.normal(size=(1, 9, 5)), fine, rng.normal(size=(1, 30, 5)), channels="abcde"
    )
    assert [axes.get_ylabel() for axes in panels(figure)] == list("abcde")


def test_many_points_are_a_line():
    a = arrays(1, 600)
    axes = panels(drawn(a, NAMES[:1]))[0]
    assert not lines(axes, plots.INK, "o")
    (data,) = lines(axes, FAINT)
    np.testing.assert_allclose(
        data.get_ydata(), a["observed"][0, :, 0][np.isfinite(a["observed"][0, :, 0])]
    )


def test_a_band_that_explodes_leaves_the_data_legible():
    a = arrays(1)
    a["data_high"] = a["data_high"] + 1e6
    axes = panels(drawn(a, NAMES[:1]))[0]
    low, high = axes.get_ylim()
    assert high - low < 2 * np.nanmax(np.ptp(a["curve"][..., 0]))


def test_what_was_never_observed_or_failed_is_left_out():
    a = arrays(2)
    a["observed"][1] = np.nan
    a["curve"][0, 100:] = np.inf
    plots.svg(drawn(a))
    plots.svg(plots.residuals(a["times"], np.full_like(a["residuals"], np.nan), channels=NAMES))


def test_residuals_stand_beside_their_autocorrelation():
    a = arrays(2)
    figure = plots.residuals(a["times"], a["residuals"], channels=NAMES, time_unit="s")
    course, lags = figure.axes[:2]
    (dots,) = lines(course, plots.ACCENT, "o")
    seen = np.isfinite(a["residuals"][..., 0])
    np.testing.assert_allclose(dots.get_ydata(), a["residuals"][..., 0][seen])
    values = np.concatenate([line.get_ydata() for line in lags.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(np.sort(values), np.sort(autocorrelation(a["residuals"][..., 0])))
    assert "time (s), 2 records together" in words(figure)


def test_autocorrelation_is_that_of_numpy_without_the_gaps():
    rng = np.random.default_rng(1)
    e = np.convolve(rng.normal(size=201), [1.0, 0.7], mode="valid")
    gappy = np.insert(e, 50, np.nan)[None]
    centred = e - e.mean()
    full = np.correlate(centred, centred, mode="full")[len(e) - 1 :]
    np.testing.assert_allclose(autocorrelation(gappy), (full / full[0])[1:21], atol=1e-12)
    assert autocorrelation(np.zeros((1, 50))).size == 0
    assert autocorrelation(np.ones((1, 3))).size == 0


def test_the_waterfall_marks_the_plateau_and_counts_the_failed():
    a = arrays(starts=64, failed=3)
    figure = plots.waterfall(a["objectives"][::-1], agree=57)
    axes = figure.axes[0]
    best, rest = lines(axes, plots.ACCENT, "o")[0], lines(axes, plots.MUTED, "o")[0]
    assert (len(best.get_xdata()), len(rest.get_xdata())) == (57, 4)
    above = np.sort(a["objectives"])[57:61] - a["objectives"].min()
    np.testing.assert_allclose(rest.get_ydata(), above)
    assert len(lines(axes, plots.MUTED, "x")[0].get_xdata()) == 3
    assert "of 64 starts: 57 agree, 4 ended elsewhere, 3 failed" in words(figure)


@pytest.mark.parametrize("objectives", [[1.0], [np.inf, np.nan], [3.0, 3.0, np.inf]])
def test_a_waterfall_of_few_or_failed_starts_is_drawn(objectives):
    plots.svg(plots.waterfall(np.asarray(objectives)))


def test_profiles_show_the_threshold_and_the_interval():
    a = arrays()
    figure = plots.profiles(
        a["profile_values"], a["profile_objectives"], ("w", "c"), units=("1/s", "1/s"),
        intervals=((1.682, 1.718), (None, 0.255)),
    )  # fmt: skip
    for i, axes in enumerate(figure.axes):
        curve = lines(axes, plots.ACCENT)[0]
        np.testing.assert_allclose(curve.get_ydata(), a["profile_objectives"][i])
        threshold = lines(axes, plots.MUTED)[0]
        # half of the 90 % point of chi squared with one degree of freedom
        assert threshold.get_ydata()[0] == pytest.approx(2.7055 / 2, rel=1e-4)
    open_ended = figure.axes[1].patches[0]
    assert open_ended.get_x() == pytest.approx(a["profile_values"][1, 0])
    assert {"w (1/s)", "c (1/s)", "90 %"} <= set(words(figure))
    failed = np.full_like(a["profile_objectives"], np.nan)
    plots.svg(plots.profiles(a["profile_values"], failed, ("w", "c")))


def test_correlations_are_squares_of_their_size_and_numbers():
    matrix = np.array([[1.0, -0.98, np.nan], [-0.98, 1.0, 0.25], [np.nan, 0.25, 1.0]])
    figure = plots.correlation(matrix, ("a", "b", "c"))
    squares = figure.axes[0].patches
    areas = [p.get_width() * p.get_height() / 0.86**2 for p in squares]
    np.testing.assert_allclose(areas, [0.98, 0.25])
    assert to_rgb(squares[0].get_facecolor()) == to_rgb(plots.ACCENT)
    assert {"−0.98", "0.25", "a", "b", "c"} <= set(words(figure))
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_weight() == "bold"]
    assert bold == ["−0.98"]


def test_intervals_are_drawn_in_percent_and_open_ends_are_arrows():
    figure = plots.estimates(
        ("w", "m", "zero"), np.array([2.0, 5.0, 0.0]), np.array([1.9, -90.0, -1.0]),
        np.array([2.2, np.nan, 1.0]), labels=("2.0 ± 0.1 1/s", "", ""),
        determined=(True, False, True),
    )  # fmt: skip
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["w", "m"]
    bars = [line for line in axes.lines if line.get_marker() == "None" and len(line.get_xdata())]
    np.testing.assert_allclose(bars[1].get_xdata(), [-5.0, 10.0])
    arrows = {line.get_marker() for line in axes.lines} & {"<", ">"}
    assert arrows == {"<", ">"}
    assert "2.0 ± 0.1 1/s" in words(figure)


def every(name="x"):
    a = arrays(2, 20)
    return (
        drawn(a, (name, "v"), units=(name, name), time_unit=name, records=(name, "b")),
        plots.residuals(a["times"], a["residuals"], channels=(name, "v"), time_unit=name),
        plots.waterfall(a["objectives"]),
        plots.profiles(
            a["profile_values"], a["profile_objectives"], (name, "c"), units=(name, name)
        ),
        plots.correlation(np.eye(2), (name, "b")),
        plots.estimates((name, "b"), np.ones(2), np.zeros(2), np.ones(2) * 2, labels=(name, "b")),
    )  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_data_are_drawn_as_they_are(name):
    for figure in every(name):
        svg = plots.svg(figure)
        assert "<script" not in svg
        assert "\x00" not in svg
        ET.fromstring(svg)


def test_the_same_arrays_give_the_same_bytes():
    for one, two in zip(every(), every(), strict=True):
        assert isinstance(one, Figure)
        assert plots.svg(one) == plots.svg(two)


def test_shapes_that_do_not_fit_are_refused():
    a = arrays(2, 20)
    with pytest.raises(ValueError, match="do not fit 3 channels"):
        drawn(a, ("x", "v", "u"), units=())
    with pytest.raises(ValueError, match="2 channels were given 1 units"):
        drawn(a, units=("m",))
    with pytest.raises(ValueError, match="1 names were given for 2 records"):
        drawn(a, records=("one",))
    with pytest.raises(ValueError, match="give one residual for each"):
        plots.residuals(a["times"], a["residuals"][:1], channels=NAMES)
    with pytest.raises(ValueError, match="at least one start"):
        plots.waterfall(np.empty(0))
    with pytest.raises(ValueError, match="a name for each latent"):
        plots.profiles(np.ones((2, 3)), np.ones((2, 3)), ("a",))
    with pytest.raises(ValueError, match="a name for each row"):
        plots.correlation(np.eye(2), ("a",))
    with pytest.raises(ValueError, match="one of each to every latent"):
        plots.estimates(("a",), np.ones(2), np.ones(2), np.ones(2))
