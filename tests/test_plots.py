"""Figures: what is drawn is what was given, in its units, and the same bytes each time."""

import pathlib
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from heartbeats import beat_schema, beats
from unweave import plots
from unweave._schema import Schema

HOSTILE = ("<script>alert(1)</script>", "US$ / $x^2$", "a\nb\x00", "心拍", "_hidden", "x" * 500)


def frames(latents, channels, samples=64, steps=7):
    """Beats in which latent i scales a bump of its own place, the same in every channel."""
    schema = beat_schema(channels, samples)
    base = beats(1, schema)[0]
    scores = np.linspace(-3, 3, steps)
    t = np.linspace(0, 1, samples)
    bumps = [np.exp(-0.5 * ((t - (i + 0.5) / latents) / 0.05) ** 2) for i in range(latents)]
    walk = np.stack([[base + 0.1 * s * b[:, None] for s in scores] for b in bumps])
    return walk.astype(np.float32), schema


def image_schema(side=8, channels=1):
    names = ("grey",) if channels == 1 else ("red", "green", "blue")
    axes = ("row", "column", "channel")
    return Schema("images", axes, (side, side, channels), names, ("",) * channels)


def words(figure):
    """Every word of the figure, as a reader of the file finds them."""
    return [e.text or "" for e in ET.fromstring(plots.svg(figure)).iter() if "text" in e.tag]


def test_traversal_of_one_channel_draws_each_frame_in_its_panel():
    walk, schema = frames(10, 1)
    figure = plots.traversal(walk, schema)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 10
    assert [axes.get_title(loc="left") for axes in panels] == [f"z{i + 1}" for i in range(10)]
    for i, axes in enumerate(panels):
        curves = [line for line in axes.lines if len(line.get_xdata()) == 64]
        for step, line in enumerate(curves):
            np.testing.assert_allclose(line.get_ydata(), walk[i, step, :, 0], rtol=1e-6)
            np.testing.assert_allclose(line.get_xdata(), schema.times)
        assert len({tuple(to_rgb(line.get_color())) for line in curves}) == 7
        low, high = axes.get_ylim()
        assert low < walk[i].min(), "each latent is drawn on a scale of its own"
        assert high - low < 1.3 * np.ptp(walk[i])
    assert "i (mV)" in words(figure)
    assert "time (s)" in words(figure)


def test_the_most_telling_latent_comes_first():
    walk, schema = frames(4, 1)
    figure = plots.traversal(
        walk, schema, names=("a", "b", "c", "d"), activity=np.array([0.1, 3.0, 0.0, 1.0])
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["b", "d", "a", "c"]
    assert [axes.get_title(loc="right") for axes in figure.axes] == [
        "3.00 nats", "1.00 nats", "0.10 nats", "0.00 nats",
    ]  # fmt: skip


def test_of_many_steps_even_ones_are_drawn():
    walk, schema = frames(1, 1, steps=13)
    said = words(plots.traversal(walk, schema))
    assert [w for w in said if w in ("−3", "−2", "−1", "0", "+1", "+2", "+3", "−1.5")] == [
        "−3", "−2", "−1", "0", "+1", "+2", "+3",
    ]  # fmt: skip


@pytest.mark.parametrize("channels", [2, 3, 12])
def test_traversal_of_several_channels_names_rows_and_columns(channels):
    walk, schema = frames(10, channels)
    said = words(plots.traversal(walk, schema))
    assert {f"z{i + 1}" for i in range(10)} <= set(said)
    assert all(any(word.startswith(lead) for word in said) for lead in schema.channels)
    assert any("mV" in word for word in said)


def test_small_multiples_hold_every_curve_to_the_scale_of_its_bar():
    walk, schema = frames(3, 12)
    (axes,) = plots.traversal(walk, schema).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == 64]
    assert len(curves) == 3 * 12 * 7
    bars = [line for line in axes.lines if line.get_linewidth() == 1.2]
    labels = [t.get_text() for t in axes.texts if t.get_text().endswith(" mV")]
    assert len(bars) == len(labels) == 3, "each latent has a scale, and a bar, of its own"
    for column in range(12):
        drawn = [line for line in curves if int(line.get_xdata()[0]) == column]
        for number, line in enumerate(drawn):
            latent, step = divmod(number, 7)
            bar = float(np.ptp(bars[latent].get_ydata()))
            unit = float(labels[latent].removesuffix(" mV"))
            height = float(np.ptp(line.get_ydata())) / bar * unit
            expected = float(np.ptp(walk[latent, step, :, column]))
            assert height == pytest.approx(expected, rel=1e-4)


def test_many_latents_and_channels_are_cut_to_those_that_change_most():
    rng = np.random.default_rng(0)
    schema = Schema(
        "windows",
        ("time", "channel"),
        (16, 20),
        tuple(f"c{i:02d}" for i in range(20)),
        ("V",) * 20,
    )
    walk = rng.normal(size=(30, 5, 16, 20)) * np.arange(30)[:, None, None, None]
    walk[..., :8] *= 0.01
    said = words(plots.traversal(walk, schema))
    assert {f"z{i + 1}" for i in range(18, 30)} <= set(said)
    assert "z5" not in said
    assert "c08" in said
    assert "c07" not in said
    assert any("8 channels that change least" in word for word in said)


def test_images_are_drawn_pixel_by_pixel():
    rng = np.random.default_rng(0)
    walk = rng.uniform(size=(3, 5, 8, 8, 1))
    figure = plots.traversal(walk, image_schema())
    (image,) = figure.axes[0].get_images()
    picture = np.asarray(image.get_array())
    tile = picture.shape[0] // 3
    low, high = walk.min(), walk.max()
    inside = picture[tile + 1 : tile + 9, 2 * tile + 1 : 2 * tile + 9, 0]
    np.testing.assert_allclose(inside / 255, (walk[1, 2, ..., 0] - low) / (high - low), atol=0.003)
    assert picture[0, 0, 3] == 0, "seams are transparent"
    assert {"z1", "z2", "z3", "−3", "0", "+3"} <= set(words(figure))


def test_colour_images_keep_their_colours():
    xs = np.zeros((4, 8, 8, 3))
    xs[..., 0] = 1.0
    (image,) = plots.samples(xs, image_schema(8, 3)).axes[0].get_images()
    assert set(map(tuple, np.asarray(image.get_array()).reshape(-1, 4))) == {
        (255, 0, 0, 255),
        (0, 0, 0, 0),
    }


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_reconstructions_draw_data_and_model(channels):
    schema = beat_schema(channels)
    x = beats(20, schema)
    xhat = x + 0.1
    figure = plots.reconstructions(x, xhat, schema)
    assert {"data", "model"} <= set(words(figure))
    if channels == 1:
        data, model = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 64]
        np.testing.assert_allclose(data.get_ydata(), x[0, :, 0], rtol=1e-5)
        np.testing.assert_allclose(model.get_ydata(), xhat[0, :, 0], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("channels", [1, 2, 12])
def test_any_number_of_samples_can_be_drawn(n, channels):
    schema = beat_schema(channels)
    assert isinstance(plots.samples(beats(n, schema), schema), Figure)


def test_a_vector_is_a_curve_over_its_channels():
    schema = Schema("series", ("channel",), (5,), tuple("abcde"), ("",) * 5)
    xs = np.arange(10.0).reshape(2, 5)
    lines = plots.samples(xs, schema).axes[0].lines
    np.testing.assert_array_equal(lines[-1].get_ydata(), xs[0])


def test_what_is_missing_or_infinite_leaves_a_gap():
    walk, schema = frames(3, 12)
    walk[0, 0, 5:9] = np.nan
    walk[1] = np.inf
    walk[2, 3, 7] = -np.inf
    plots.svg(plots.traversal(walk, schema))
    plots.svg(plots.traversal(walk[..., :1], beat_schema(1)))
    plots.svg(plots.traversal(np.full_like(walk, np.nan), schema))
    plots.svg(plots.samples(np.full((3, 8, 8, 1), np.nan), image_schema()))


def test_curves_show_the_losses_and_their_best_epoch():
    rows = [
        {"epoch": e, "train_loss": 10.0 / e, "held_out_loss": (e - 7) ** 2 + 1.0, "kl": 3.0}
        for e in range(1, 13)
    ]
    figure = plots.curves(rows)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["training"].get_ydata(), [r["train_loss"] for r in rows])
    held_out = lines["held out, lowest at epoch 7"]
    np.testing.assert_allclose(held_out.get_ydata(), [r["held_out_loss"] for r in rows])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"epoch": 1, "train_loss": 2.0}],
        [{"epoch": 1, "train_loss": float("nan"), "held_out_loss": float("inf")}],
        [{"epoch": 1, "other": 2.0}],
    ],
)
def test_curves_stand_short_and_broken_logs(rows):
    plots.svg(plots.curves(rows))


def test_kl_bars_are_sorted_and_grey_where_unused():
    figure = plots.kl_bars(np.array([0.5, 0.001, 2.0]), ("a", "b", "c"))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a", "b"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [2.0, 0.5, 0.001]
    colours = [to_rgb(bar.get_facecolor()) for bar in axes.patches]
    assert colours[0] == colours[1] == to_rgb(plots.ACCENT) != colours[2]


def test_a_given_axes_is_drawn_on():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.curves([{"epoch": 1, "train_loss": 2.0}], axes=left) is figure
    assert plots.kl_bars(np.ones(2), ("a", "b"), axes=right) is figure
    assert len(right.patches) == 2


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for kind in ("svg", "png", "pdf"):
        files = []
        for name in ("one", "two"):
            walk, schema = frames(4, 2)
            path = plots.save(plots.traversal(walk, schema), tmp_path / f"{name}.{kind}")
            files.append(path.read_bytes())
        assert files[0] == files[1], kind
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size[0] > 800


def test_a_figure_has_no_other_file_types(tmp_path):
    with pytest.raises(ValueError, match=r"end the name in \.svg"):
        plots.save(plots.curves([]), tmp_path / "figure.docx")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("channels", [1, 12])
def test_names_from_data_are_drawn_as_they_are(name, channels):
    walk, _ = frames(3, channels)
    plain = beat_schema(channels)
    schema = Schema(
        "beats", plain.axes, plain.shape, (name, *plain.channels[1:]), (name,) * channels,
        time_unit=name,
    )  # fmt: skip
    figure = plots.traversal(walk, schema, names=(name, "b", "c"))
    svg = plots.svg(figure)
    assert "<script" not in svg
    ET.fromstring(svg)
    assert "\x00" not in svg
    if name.startswith("US$"):
        assert any("US$ / $x^2$" in word for word in words(figure))
    plots.svg(plots.kl_bars(np.ones(3), (name, "b", "c")))


def test_shapes_that_do_not_fit_are_refused():
    walk, schema = frames(3, 1)
    with pytest.raises(ValueError, match=r"observations of shape \(64, 1\)"):
        plots.traversal(walk, beat_schema(2))
    with pytest.raises(ValueError, match="all of the 3 latents"):
        plots.traversal(walk, schema, names=("a",))
    with pytest.raises(ValueError, match="one reconstruction for each"):
        plots.reconstructions(walk[0], walk[0, :2], schema)
    with pytest.raises(ValueError, match="2 names were given for 3"):
        plots.kl_bars(np.ones(3), ("a", "b"))


def test_the_settings_of_matplotlib_are_left_alone():
    before = dict(matplotlib.rcParams)
    walk, schema = frames(2, 1)
    plots.svg(plots.traversal(walk, schema))
    assert dict(matplotlib.rcParams) == before


def oklab(colour):
    """Ottosson (2020): sRGB to OKLab."""
    c = np.asarray(to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    ) @ linear  # fmt: skip
    return np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    ) @ np.cbrt(lms)  # fmt: skip


def test_the_diverging_map_takes_even_steps_that_rise_in_lightness():
    points = np.stack([oklab(plots.DIVERGING(t)) for t in np.linspace(0, 1, 9)])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15
    assert (np.diff(points[:, 0]) > 0).all(), "in grey it is a ramp"
    assert np.hypot(*points[4, 1:]) < 0.01, "the middle is grey"


def test_no_figure_is_kept_alive_behind_the_callers_back():
    files = pathlib.Path(plots.__file__).parent.glob("*.py")
    source = "".join(path.read_text() for path in files)
    assert not re.search(r"import.*pyplot|plt\.", source)


def test_confidence_is_drawn_against_what_is_right():
    confidence, right = np.array([0.5, 0.9, np.nan]), np.array([0.4, 0.95, np.nan])
    figure = plots.reliability(confidence, right, np.array([10, 30, 0]))
    (dots,) = figure.axes[0].collections[1:]
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 0.4], [0.9, 0.95]])
    assert dots.get_sizes()[1] == 200
    with pytest.raises(ValueError, match="for every bin"):
        plots.reliability(confidence, right, np.zeros(2))


def test_errors_are_drawn_beside_their_limits():
    errors = np.abs(np.random.default_rng(0).normal(size=200))
    figure = plots.limits({"rate": (errors, 1.96), "height": (errors, 1.0)}, confidence=0.95)
    one, other = figure.axes
    assert one.get_title(loc="left") == "rate"
    assert sum(bar.get_height() for bar in one.patches) == 200
    assert other.lines[0].get_xdata()[0] == 1.0
    with pytest.raises(ValueError, match="at least one name"):
        plots.limits({}, confidence=0.9)
