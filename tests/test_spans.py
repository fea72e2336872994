"""Readers of spans: the dynamic program against all pairs, what is planted, what is found."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from unweave import Schema, check_model, detect, fit, load_run, split_at_random
from unweave.data import SPAN, dataset, heartbeats, planted
from unweave.networks.series import (
    likeliest_span,
    span_log_odds,
    span_membership,
    span_overlap,
    start_span_reader,
)
from unweave.recipes import span_reader

LENGTH = 64


def waves(n, seed=0, total=LENGTH):
    """Sines of one period and any phase, with a little noise."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * rng.uniform(size=(n, 1))
    x = np.sin(2 * np.pi * np.arange(total) / 16 + phase) + 0.05 * rng.normal(size=(n, total))
    schema = Schema("windows", ("time", "channel"), (total, 1), ("v",), ("mV",))
    return dataset(x[..., None].astype(np.float32), schema)


def test_the_dynamic_program_is_the_sum_and_the_maximum_over_all_pairs():
    rng = np.random.default_rng(0)
    for _ in range(5):
        code = jax.nn.log_softmax(jnp.asarray(2 * rng.normal(size=(2, 9)), jnp.float32)).reshape(-1)
        (none, *starts), (nor, *ends) = np.asarray(code, np.float64).reshape(2, -1)
        pairs = [(i, j) for i in range(8) for j in range(i, 8)]
        logs = np.array([starts[i] + ends[j] for i, j in pairs])
        i, j = pairs[int(logs.argmax())]
        assert np.asarray(likeliest_span(code)).tolist() == [i, j + 1]
        assert float(span_log_odds(code)) == pytest.approx(logsumexp(logs) - none - nor, abs=1e-4)
        whole = np.logaddexp(logsumexp(logs), none + nor)
        member = [np.exp(logs[[a <= t <= b for a, b in pairs]] - whole).sum() for t in range(8)]
        np.testing.assert_allclose(span_membership(code), member, atol=1e-5)


def test_overlap_is_a_count_of_samples():
    found, known = np.array([[0, 4], [2, 5], [0, 1]]), np.array([[2, 6], [2, 5], [3, 9]])
    np.testing.assert_allclose(span_overlap(found, known), [2 / 6, 1, 0])


def test_what_is_planted_is_where_it_is_said_to_be_and_nowhere_else():
    normal = heartbeats(30, samples=40)
    x = normal.observations.copy()
    x[:, 5] = np.nan
    normal = replace(normal, observations=x)
    both = [planted(normal, copies=2, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(both[0].observations, both[1].observations)
    np.testing.assert_array_equal(both[0].factors, both[1].factors)
    found, before = both[0], np.tile(normal.observations, (2, 1, 1))
    assert found.factor_names == SPAN
    strange = ~np.isnan(found.factors[:, 0])
    assert 0.6 < strange.mean() <= 0.9
    spread = np.nanstd(x, axis=(0, 1))
    for new, old, span in zip(found.observations, before, found.factors, strict=True):
        assert np.isnan(new[5]).all()
        moved = np.nan_to_num(np.abs(new - old) / spread).max(1)
        if np.isnan(span[0]):
            assert moved.max() < 1e-6
            continue
        start, end = span.astype(int)
        assert moved[start:end].max() > 0.5
        assert min(moved[start], moved[end - 1]) > 0.05
        assert np.delete(moved, np.arange(start, end)).max(initial=0) <= 0.05
    other = planted(normal, copies=2, seed=4)
    assert not np.array_equal(other.observations, found.observations, equal_nan=True)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"kinds": ("magic",)}, "magic"),
        ({"share": 0.0}, "shares"),
        ({"lengths": (0.5, 0.2)}, "sho"),
    ],
)
def test_what_cannot_be_planted_is_said(more, sentence):
    with pytest.raises(ValueError, match=sentence):
        planted(waves(4), **more)
    flat = dataset(np.zeros((4, 3)), Schema("rows", ("entry",), (3,), tuple("abc"), ("",) * 3))
    with pytest.raises(ValueError, match="into series"):
        planted(flat)


def test_the_misfit_is_of_the_first_and_the_last_sample_or_of_nothing():
    model = start_span_reader(waves(8), width=4, dilations=(1,), key=jax.random.key(0))
    code = np.asarray(model.encode(jnp.asarray(waves(1, seed=1).observations[0])))
    at = {name: float(value) for name, value in zip(model.names, code, strict=True)}
    assert np.exp(code).sum() == pytest.approx(2, abs=1e-5)
    misfit = float(model.misfit(jnp.asarray(code), jnp.asarray([3.0, 7.0])))
    assert misfit == pytest.approx(-at["start 3"] - at["end 6"], abs=1e-5)
    misfit = float(model.misfit(jnp.asarray(code), jnp.asarray([jnp.nan, jnp.nan])))
    assert misfit == pytest.approx(-at["start nowhere"] - at["end nowhere"], abs=1e-5)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans") / "run"
    recipe = span_reader(width=12, dilations=(1, 2, 4, 8), copies=6, epochs=25, batch=32)
    return fit(recipe, split_at_random(waves(240)), out=folder, quiet=True)


def test_planted_spans_are_found_in_series_it_has_not_seen(found):
    held = planted(waves(150, seed=5), seed=6)
    strange = ~np.isnan(held.factors[:, 0])
    known = held.factors[strange].astype(np.int64)
    score = detect.spans(found.model)
    places = score.spans(held.observations, level=0.5)
    overlap = span_overlap(places[strange], known)
    by_chance = span_overlap(np.random.default_rng(0).permutation(known), known)
    assert overlap.mean() > 0.7
    assert by_chance.mean() < 0.3
    assert detect.auroc(score(held.observations), strange) > 0.9
    inside = score.by_sample(held.observations)
    truth = [(np.arange(LENGTH) >= a) & (np.arange(LENGTH) < b) for a, b in known]
    assert detect.auroc(inside[strange].ravel(), np.ravel(truth)) > 0.95
    told = found.result["spans"]
    assert told["overlap"] > 0.7 > 0.3 > told["chance"]
    assert "mean intersection over union" in told["sentence"]


def test_a_long_series_is_read_window_by_window(found):
    long = waves(1, seed=8, total=400).observations[0]
    long[230:260] += 1.5
    windows, begin = detect.sliding(long, LENGTH, step=8), detect.starts(400, LENGTH, 8)
    by_sample = detect.over_samples(detect.spans(found.model)(windows), begin, LENGTH, 400)
    truth = (np.arange(400) >= 230) & (np.arange(400) < 260)
    assert detect.auroc(by_sample, truth) > 0.95


def test_it_keeps_the_protocol_and_its_file(found):
    x = jnp.asarray(waves(1, seed=2).observations[0])
    check_model(found.model, x=x, key=jax.random.key(0)).raise_if_failed()
    again = load_run(found.folder)
    np.testing.assert_array_equal(again.model.encode(x), found.model.encode(x))
    with pytest.raises(TypeError, match="is none"):
        detect.spans(start_span_reader(waves(8), width=4, key=jax.random.key(0)).reader)


def test_spans_that_are_known_are_learned_as_they_are():
    data = planted(waves(40), seed=1)
    plan = span_reader().plan
    np.testing.assert_array_equal(plan.rows(data).answer, data.factors)
    assert len(plan.rows(waves(40)).x) == 8 * 40


def test_unweave_detect_reads_spans(unweave):
    long = waves(1, total=1500).observations[0, :, 0]
    pd.DataFrame({"t": np.arange(1500.0), "v": long}).to_csv("normal.csv", index=False)
    long = long[:600].copy()
    long[300:330] += 3
    pd.DataFrame({"t": np.arange(600.0), "v": long}).to_csv("new.csv", index=False)
    said = unweave(
        "fit", "span-reader", "normal.csv", "--kind", "windows", "--length", 32, "--time", "t",
        "--step", 8, "--epochs", 3, "--width", 8, "--dilations", "1,2", "--out", "run", "--quiet",
    )  # fmt: skip
    assert "intersection over union" in said
    told = json.loads(unweave("detect", "new.csv", "run", "--false-alarms", 0.2, "--json"))
    (one,) = told["detectors"].values()
    assert one["score"] == "a span that is strange"
    table = pd.read_csv(told["output"])
    assert {"run score", "run from", "run to", "run p"} <= set(table.columns)
    assert "run latent" not in table.columns
