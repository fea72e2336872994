"""The report: true sentences, a page that stands alone, names that stay names."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import jax
import numpy as np
import pytest

from heartbeats import beat_model, beat_schema, beats
from unweave import show
from unweave._schema import Schema
from unweave.report import Measure, ReportContent, render, verdict, write_report
from unweave.report._figures import sliders
from unweave.report._words import count, duration, number, percent

VOID = {"meta", "input", "br", "img", "link", "hr"}


def content(channels=1, samples=64, latents=10, **changes):
    schema = beat_schema(channels, samples)
    model = beat_model(latents, channels, samples)
    x = beats(24, schema, seed=9)
    kl = np.linspace(3, 0, latents)
    base = ReportContent(
        title="Heartbeats", recipe="beta-vae", schema=schema, source="simulated",
        n_train=384, n_validation=44, n_test=107, split="the last fifth of each recording",
        latents=model.latents.names, options={"latents": latents, "capacity": 25.0},
        command="unweave fit beta-vae beats --latents 10", notes=("two beats were left out",),
        epochs=50, seconds=23.4, stopped="all 50 epochs were run; the last model is kept",
        rows=[{"epoch": e, "train_loss": 9.0 / e, "held_out_loss": 10.0 / e} for e in (1, 2)],
        citations=("@article{someone2020, title = {A method}}",),
        explained_variance=Measure(0.993, 107),
        baselines={"PCA with 10 latents": Measure(0.992, 107)},
        log_density=Measure(412.3, 107, kind="bound"), kl=kl,
        active=tuple((kl > 0.5).tolist()), x=x, xhat=show.reconstruct(model, x),
        samples=show.draw(model, 24, key=jax.random.key(1)), traversal=show.traverse(model),
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture(scope="module")
def full():
    return content()


@pytest.fixture(scope="module")
def text(full):
    return render(full)


@pytest.fixture(scope="module")
def bare():
    """A model about which nothing is known but that it can be run."""
    schema = beat_schema()
    return ReportContent(
        title="Bare", recipe="sampler", schema=schema, source="s", n_train=1, n_validation=0,
        n_test=0, split="none", latents=(),
    )  # fmt: skip


def judged(bare, *, ev=None, pca=None, active=None, n=10, **changes):
    return " ".join(
        verdict(
            replace(
                bare,
                latents=tuple(f"z{i + 1}" for i in range(n)),
                active=active,
                explained_variance=ev if ev is None else Measure(ev, 100),
                baselines={} if pca is None else {f"PCA with {n} latents": Measure(pca, 100)},
                **changes,
            )
        )
    )


def test_the_first_sentence_says_what_is_kept_and_by_how_many(bare):
    words = judged(bare, ev=0.993, pca=0.992, active=(True,) * 7 + (False,) * 3)
    assert words.startswith(
        "Ten latents keep 99.3 % of the variance of beats never seen in training; seven of "
        "them carry information. PCA with 10 latents keeps 99.2 %, a small difference: the "
        "nonlinearity buys little here."
    )
    assert "Unused are z8, z9, z10; a model without them, with seven latents" in words


@pytest.mark.parametrize(
    ("ev", "pca", "spread", "said"),
    [
        (0.985, 0.943, None, "removes 73.7 % of what PCA leaves over"),
        (0.985, 0.983, None, "a small difference"),
        (0.985, 0.983, 0.004, "a difference within the spread"),
        (0.985, 0.943, 0.1, "a difference within the spread"),
        (0.90, 0.94, None, "more than this model"),
    ],
)
def test_the_difference_from_pca_is_weighed(bare, ev, pca, spread, said):
    full = replace(
        bare,
        latents=("a", "b"),
        explained_variance=Measure(ev, 100, spread),
        baselines={"PCA with 2 latents": Measure(pca, 100)},
    )
    assert said in verdict(full)[1]


def test_a_trivial_baseline_is_named_when_it_explains_something(bare):
    both = {"each record's mean": Measure(0.95, 9), "the mean observation": Measure(0.0, 9)}
    found = verdict(
        replace(bare, latents=("z",), explained_variance=Measure(0.99, 9), baselines=both)
    )
    assert found == (
        "One latent keeps 99.0 % of the variance of beats never seen in training.",
        "Each record's mean alone, without any latent, keeps 95.0 %; what the model adds is "
        "the rest.",
    )
    found = verdict(
        replace(bare, latents=("z",), explained_variance=Measure(0.951, 9), baselines=both)
    )
    assert "the latents add nothing to speak of" in found[1]


def test_learning_by_heart_is_said(bare):
    assert "by heart" in judged(bare, ev=0.80, explained_variance_train=0.99)
    assert "by heart" not in judged(bare, ev=0.97, explained_variance_train=0.99)


def test_failure_is_said(bare):
    assert "nothing of the variance" in judged(bare, ev=-0.22)
    assert "(−22.0 %)" in judged(bare, ev=-0.22)
    assert "the model is broken" in judged(bare, ev=float("nan"))
    assert "posterior collapse" in judged(bare, ev=0.1, active=(False,) * 10)
    assert verdict(bare) == ("No measure on held-out data was given, so nothing is claimed here.",)


def test_samples_are_compared_with_the_data(bare):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 64, 1))
    smooth = np.cumsum(x, axis=1) / 3

    def said(data, samples):
        return " ".join(verdict(replace(bare, x=data, samples=samples)))

    assert "Samples" not in said(x, rng.normal(size=(100, 64, 1)))
    assert "lack variety" in said(x, 0.5 * x)
    assert "vary more" in said(x, 2 * x)
    assert "smoother" in said(x, smooth)
    assert "rougher" in said(smooth, x)
    assert "not finite" in said(x, np.where(x > 2, np.inf, x))
    assert "Samples" not in said(x[:5], 0.5 * x[:5]), "five are too few to tell"
    gappy = np.where(rng.uniform(size=x.shape) < 0.3, np.nan, x)
    assert "Samples" not in said(gappy, rng.normal(size=(100, 64, 1)))


def test_numbers_read_well():
    assert [count(n) for n in (0, 1, 12, 13, 2800)] == ["no", "one", "twelve", "13", "2,800"]
    assert [percent(p) for p in (0.993, 1.0, 0.9997, 0.99999999, -0.5)] == [
        "99.3 %", "100.0 %", "99.97 %", "99.999 %", "−50.0 %",
    ]  # fmt: skip
    assert [duration(s) for s in (2.345, 48.2, 200.0, 7500.0)] == [
        "2.3 s",
        "48 s",
        "3 min",
        "2 h 5 min",
    ]
    assert [number(v) for v in (-412.34, 12345.6)] == ["−412.3", "12,346"]


class Page(HTMLParser):
    """Tags that close, ids, addresses and scripts of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.scripts = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [found["id"]] if "id" in found else []
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href", "action")]
        assert not any(k.startswith("on") for k in found), "no inline handlers"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_stands_alone(text):
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:")) for link in page.links)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    outside = set(re.findall(r"https?://[^\"'\s<]+", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_policy_admits_the_page_s_own_script_alone(text):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    script = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_names_from_data_stay_names(full, text):
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>&amp;"
    schema = beat_schema()
    hostile = Schema(
        name,
        schema.axes,
        schema.shape,
        (name,),
        (name,),
        time_unit=name,
        transform=name,
    )
    page = replace(
        full, title=name, recipe=name, schema=hostile, source=name, split=name,
        notes=(name,), latents=(name, *full.latents[1:]), options={name: name}, command=name,
        stopped=name, citations=(name,), baselines={name: Measure(0.9, 3, kind=name)},
        spread_of=name,
    )  # fmt: skip
    written = render(page)
    for part in (name, "<script>alert", "<img", "<b>"):
        assert part not in written
    found = Page(written)
    assert found.scripts == Page(text).scripts == 2
    assert found.open == []
    held = re.search(r'id="turn-data">(.*?)</script>', written, flags=re.DOTALL)[1]
    assert json.loads(held)["channels"][0]["name"] == name


def from_sliders(turn, scores):
    """What the page's script computes."""
    centre = np.frombuffer(base64.b64decode(turn["centre"]), "<f4").reshape(turn["shape"])
    away = np.frombuffer(base64.b64decode(turn["away"]), "<i2").astype(float)
    away = away.reshape(len(turn["latents"]), turn["steps"], *turn["shape"])
    away = away * np.asarray(turn["reach"]) / 32767
    places = np.linspace(turn["low"], turn["high"], turn["steps"])
    x = centre.astype(float)
    for latent, score in enumerate(scores):
        before = min(int(np.searchsorted(places, score, side="right")) - 1, turn["steps"] - 2)
        part = (score - places[before]) / (places[before + 1] - places[before])
        x = x + (1 - part) * away[latent, before] + part * away[latent, before + 1]
    return x


@pytest.mark.parametrize(("steps", "channels"), [(7, 1), (4, 3)])
def test_the_sliders_decode_a_linear_model_exactly(steps, channels):
    model = beat_model(5, channels)
    kl = np.array([0.2, 5.0, 0.0, 1.0, 3.0])
    page = content(
        channels, latents=5, kl=kl, active=(True, True, False, True, True),
        traversal=show.traverse(model, steps=steps),
    )  # fmt: skip
    turn = json.loads(json.dumps(sliders(page)))
    assert [latent["name"] for latent in turn["latents"]] == ["z2", "z5", "z4", "z1"]
    z = np.array([0.37, -2.9, 0.0, 1.2, 3.0])
    expected = np.asarray(model.decode(jax.numpy.asarray(z, float)))
    np.testing.assert_allclose(from_sliders(turn, z[[1, 4, 3, 0]]), expected, atol=2e-4)


def test_gaps_survive_the_sliders(full):
    walk = np.array(full.traversal)
    walk[:, :, 10:12] = np.nan
    turn = sliders(replace(full, traversal=walk))
    x = from_sliders(turn, [0.5] * len(turn["latents"]))
    assert np.isnan(x[10:12]).all()
    assert np.isfinite(np.delete(x, [10, 11], axis=0)).all()


def test_twelve_leads_stay_below_three_megabytes(tmp_path):
    page = content(12, 256)
    page = replace(page, active=(True,) * 10)
    path = write_report(tmp_path / "run", page)
    assert path == tmp_path / "run" / "report.html"
    assert path.stat().st_size < 3e6
    noisy = replace(page, traversal=page.traversal + np.random.default_rng(0).normal(
        size=page.traversal.shape))  # fmt: skip
    assert len(render(noisy).encode()) < 6e6, "even where nothing can be simplified"


def test_long_signals_are_thinned_and_say_so(full):
    schema = beat_schema(1, 64)
    long = replace(schema, shape=(50_000, 1), step=0.001, origin=0.0)
    walk = np.zeros((10, 9, 50_000, 1))
    turn = sliders(
        replace(
            full,
            schema=long,
            traversal=walk,
            x=None,
            xhat=None,
            samples=None,
            active=(True,) * 10,
        )
    )
    assert turn["shape"][0] * 90 <= 400_000
    assert turn["step"] == pytest.approx(0.001 * 50_000 / turn["shape"][0], rel=0.01)


def test_images_and_a_bare_model_have_pages(bare):
    rng = np.random.default_rng(0)
    schema = Schema("images", ("row", "column", "channel"), (8, 8, 1), ("grey",), ("",))
    xs = rng.uniform(size=(20, 8, 8, 1))
    walk = rng.uniform(size=(2, 7, 8, 8, 1))
    picture = replace(
        bare, schema=schema, latents=("z1", "z2"), x=xs, xhat=xs, samples=xs, traversal=walk
    )
    assert sliders(picture)["image"]
    for page in (picture, bare):
        assert Page(render(page)).open == []
    assert "<canvas" not in render(bare)
    assert "Reconstructions" not in render(bare)


def test_the_same_content_gives_the_same_page(full, text):
    assert render(full) == text


def test_a_failed_page_leaves_the_old_one(full, bare, tmp_path, monkeypatch):
    path = write_report(tmp_path / "page.html", bare)
    old = path.read_bytes()
    monkeypatch.setattr("unweave.report._page.render", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(path, full)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_content_that_does_not_fit_is_refused(full):
    with pytest.raises(ValueError, match="kl has 3 entries, and there are 10 latents"):
        replace(full, kl=np.zeros(3))
    with pytest.raises(ValueError, match=r"samples holds observations of shape \(3, 1\)"):
        replace(full, samples=np.zeros((4, 3, 1)))
    with pytest.raises(ValueError, match="misses the prior's centre"):
        replace(full, low=1.0)
