"""Each example at toy size, as a user runs it, and what it prints."""

import os
import re
import subprocess
import sys

import jax
import pytest

from conftest import DATA, ROOT

EXAMPLES = ROOT / "examples"


def run(name, folder, *arguments):
    environment = {
        **os.environ,
        "UNWEAVE_TOY": "1",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
    }
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_all_examples_are_here_and_short():
    names = {file.name for file in EXAMPLES.glob("*.py")}
    here = {"digits.py", "heartbeat_factors.py", "prices.py", "ptb_traversal.py"}
    here |= {"two_species.py", "formula_or_network.py", "price_models.py", "missing_term.py"}
    here |= {"your_own_model.py", "critics_as_distances.py", "are_samples_real.py", "parity.py"}
    here |= {"why_this_beat.py"}
    here |= {"attack_heartbeats.py"}
    here |= {"strange_beats.py"}
    assert names == here
    for file in EXAMPLES.glob("*.py"):
        assert 60 <= len(file.read_text().splitlines()) <= 200


def test_attack_heartbeats(tmp_path):
    text = run("attack_heartbeats.py", tmp_path)
    found = re.findall(
        r"^trained (.+), (.+): (\d+) % right as they are, (\d+) % within", text, re.M
    )
    assert len(found) == 4
    assert all(int(robust) <= int(clean) for _, _, clean, robust in found)
    # a smooth attack of 50 µV changes by at most sqrt(2 / pi) / 4 of it between two samples
    steepest = float(re.search(r"two samples: (\S+) µV", text)[1])
    assert 0 < steepest <= 50 * (2 / 3.14159) ** 0.5 / 4 * 1.01
    assert (tmp_path / "attacked.svg").stat().st_size > 1000


def test_your_own_model(tmp_path):
    text = run("your_own_model.py", tmp_path)
    assert re.search(r"Oscillation \(sampler, decoder\): (\d+) of \1 checks passed", text)
    true, found = map(float, re.search(r"frequency +true +(\S+) +found +(\S+) Hz", text).groups())
    assert found == pytest.approx(true, rel=0.05)
    left = float(re.search(r"left over: (\S+) mm", text)[1])
    assert 0.3 < left < 0.7  # the noise it was given is 0.5
    assert "40 of 120 samples are missing" in text
    assert (tmp_path / "oscillation.svg").stat().st_size > 1000


def test_parity(tmp_path):
    text = run("parity.py", tmp_path)
    gates = re.findall(r"^ +(\d+) +(\d+) +(\d+) +[\d,]+ \(two layers: [\d,]+\)", text, re.M)
    for bits, wide, deep in ((int(g) for g in row) for row in gates):
        # 2^(n-1) ANDs of n bits and an OR of them; three gates for each bit but the first
        assert wide == 2 ** (bits - 1) * bits - 1
        assert deep == 3 * (bits - 1)
    assert len(gates) == 4
    assert len(re.findall(r"hidden layers of", text)) == 2


def test_why_this_beat(tmp_path):
    text = run("why_this_beat.py", tmp_path)
    share, samples = re.search(r"(\d+) % of it from the (\d+) % of the samples", text).groups()
    assert int(share) > 4 * int(samples)
    beaten = re.search(r"deletes better than (\d+) %", text)
    assert int(beaten[1]) > 90
    assert "x: a*x does" in text
    assert (tmp_path / "why.svg").stat().st_size > 1000


def test_are_samples_real(tmp_path):
    text = run("are_samples_real.py", tmp_path)
    apart = dict(re.findall(r"^(.+): (\d+)% are told", text, re.M))
    assert int(apart["copies"]) < 65
    assert int(apart["independent samples"]) > 95
    assert int(apart["copies"]) < int(apart["mixture"])
    assert (tmp_path / "drawn.svg").stat().st_size > 1000


def test_heartbeat_factors(tmp_path):
    text = run("heartbeat_factors.py", tmp_path)
    assert len(re.findall(r"^z\d+ +\d+\.\d\d +\S+.*\(r [+-]\d", text, re.M)) == 10
    # even a small model finds how long a beat lasts
    rate = max(abs(float(r)) for r in re.findall(r"heart rate \(1/min\) \(r ([+-]\d\.\d+)\)", text))
    assert rate > 0.8
    chance = float(re.search(r"unrelated numbers would reach \|r\| (\S+)", text)[1])
    assert chance < rate


def test_prices(tmp_path):
    text = run("prices.py", tmp_path)
    assert "1 longer gap breaks the windows" in text
    start = float(re.search(r"samples start from (\S+), the last price", text)[1])
    low, middle, high = map(float, re.search(r"5 % (\S+), median (\S+), 95 % (\S+)", text).groups())
    assert low < middle < high
    assert 0.7 * start < middle < 1.4 * start
    assert (tmp_path / "prices.svg").exists()


@pytest.mark.slow
def test_prices_of_ones_own(tmp_path):
    rows = "\n".join(f"{60 * i},{100 + i % 7}" for i in range(800))
    (tmp_path / "own.csv").write_text(f"when,paid\n{rows}\n")
    text = run("prices.py", tmp_path, "own.csv", "paid", "when", "16")
    assert re.match(r"\d+ windows of 16 rows", text)


def test_digits(tmp_path):
    text = run("digits.py", tmp_path)
    assert re.search(r"^vae +\S+ +\S+ nats \(bound\)$", text, re.M)
    assert re.search(r"^autoencoder +\S+ +needs density$", text, re.M)
    assert re.search(r"^pca +0\.\d+ +\S+ nats \(exact\)$", text, re.M)
    assert re.search(r"^gaussian-mixture +needs encoder +\S+ nats \(exact\)$", text, re.M)
    assert len(re.findall(r"^  row \d+, a \d: \S+ nats$", text, re.M)) == 3


def test_ptb_traversal(tmp_path):
    if not (DATA / "ecg_ptb").is_dir():
        pytest.skip("the recordings in ../shared/data/ecg_ptb are not there")
    text = run("ptb_traversal.py", tmp_path)
    assert (
        len(re.findall(r"^z\d: \S+ nats; changes most at [+-]\d+ ms, by \S+ mV$", text, re.M)) == 3
    )
    assert (tmp_path / "traversal.svg").exists()


def test_ptb_traversal_without_recordings(tmp_path):
    assert "skipped: there are no recordings" in run("ptb_traversal.py", tmp_path, "nowhere")


def test_two_species(tmp_path):
    text = run("two_species.py", tmp_path)
    assert "All 4 starts reach the same optimum" in text
    assert "stable node, x1 is excluded" in text
    assert (tmp_path / "two_species.svg").exists()


@pytest.mark.slow
def test_formula_or_network(tmp_path):
    text = run("formula_or_network.py", tmp_path)
    assert re.search(r"^competition +\d", text, re.M)
    assert re.search(r"^beta-vae +\d", text, re.M)
    assert (tmp_path / "cards/species/card.html").exists()


@pytest.mark.slow
def test_price_models(tmp_path):
    text = run("price_models.py", tmp_path)
    assert re.search(r"^Merton +\S+ over 120 +[+-]\d", text, re.M)
    assert text.count("The likelihood is exact") == 3


@pytest.mark.slow
def test_missing_term(tmp_path):
    text = run("missing_term.py", tmp_path)
    for name, true in (("a", 1.0), ("c", 0.8), ("e", 0.6)):
        found = float(re.search(rf"^{name}: true \S+, found (\S+)", text, re.M)[1])
        assert found == pytest.approx(true, rel=0.1)
    assert float(re.search(r"misses by (\S+) deviations", text)[1]) < 0.5
    assert (tmp_path / "missing_term.svg").exists()


@pytest.mark.slow
def test_critics_as_distances(tmp_path):
    text = run("critics_as_distances.py", tmp_path)
    found = re.findall(r"Jensen-Shannon (\S+) .*Wasserstein (\S+) \(SciPy (\S+)\)", text)
    (together, _, _), (apart, distance, true) = [tuple(map(float, row)) for row in found]
    assert together < 0.05
    assert apart == pytest.approx(0.693, abs=0.02)
    assert distance == pytest.approx(true, rel=0.05)
    assert (tmp_path / "critics.svg").stat().st_size > 1000


def test_strange_beats(tmp_path):
    text = run("strange_beats.py", tmp_path)
    areas = dict(re.findall(r"^(.+): AUROC (\S+),", text, re.M))
    assert set(areas) == {"VAE", "Sub-PCA", "two together"}
    assert float(areas["Sub-PCA"]) > 0.9
    first, last = map(float, re.search(r"from (\S+) to (\S+) s \(", text).groups())
    assert -0.1 < first < 0.2 < last < 0.45
    assert (tmp_path / "strange.svg").stat().st_size > 1000
