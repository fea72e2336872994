"""The numbers beside a report's figures are those that were drawn."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from accounts import account, arrays
from accounts import content as equation_content
from test_equation_page import page_of
from test_report import content
from unweave.report import render, write_report


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name] or "nan") for row in rows])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    page = content()
    return page, write_report(tmp_path_factory.mktemp("network") / "my page.html", page)


@pytest.fixture(scope="module")
def equation(tmp_path_factory):
    page = page_of(equation_content())
    return page, write_report(tmp_path_factory.mktemp("equation"), page)


@pytest.mark.parametrize("kind", ["network", "equation"])
def test_each_figure_has_its_numbers_beside_the_page(kind, request):
    page, path = request.getfixturevalue(kind)
    text = path.read_text()
    links = re.findall(r'<a href="([^"#]+)">Its numbers', text)
    given_ready = 1 if page.equation is not None and page.equation.phase is not None else 0
    assert len(links) == text.count("<figcaption>") - given_ready
    for link in links:
        assert (path.parent / link.replace("%20", " ")).is_file()
    # without files there are no links to them
    assert "Its numbers" not in render(page)


def test_numbers_of_a_network(network):
    page, path = network
    folder = path.parent / "my page-figures"
    name, unit = page.schema.channels[0], page.schema.units[0]
    size = len(page.schema.times)
    rows = read(folder / "curves.csv")
    np.testing.assert_allclose(column(rows, "train_loss"), [r["train_loss"] for r in page.rows])
    rows = read(folder / "kl.csv")
    assert [row["latent"] for row in rows] == list(page.latents)
    np.testing.assert_allclose(column(rows, "nats"), page.kl, rtol=1e-6)
    rows = read(folder / "traversal.csv")
    expected = np.asarray(page.traversal)[..., 0]
    np.testing.assert_allclose(
        column(rows, f"{name} ({unit})"), expected.ravel(), rtol=1e-6, atol=1e-12
    )
    assert rows[expected.shape[1] * size]["latent"] == page.latents[1]
    np.testing.assert_allclose(column(rows, "score")[::size][:2], [-3, -2])
    rows = read(folder / "samples.csv")
    np.testing.assert_allclose(
        column(rows, f"{name} ({unit})"), np.asarray(page.samples)[..., 0].ravel(), rtol=1e-6
    )
    rows = read(folder / "reconstructions.csv")
    picked = np.unique(column(rows, "observation").astype(int)) - 1
    assert (picked[0], picked[-1]) == (0, len(page.x) - 1)
    for part, values in (("data", page.x), ("model", page.xhat)):
        np.testing.assert_allclose(
            column(rows, f"{part} {name} ({unit})"), np.asarray(values)[picked, :, 0].ravel(),
            rtol=1e-6,
        )  # fmt: skip
    times = next(head for head in rows[0] if head.startswith("time"))
    np.testing.assert_allclose(column(rows, times)[:size], page.schema.times, atol=1e-8)


def test_numbers_of_an_equation(equation):
    _, path = equation
    folder, kept, told = path.parent / "report-figures", arrays(), account()
    rows = read(folder / "fit.csv")
    for what, times, values in (
        ("observed", kept["times"], kept["observed"]),
        ("curve", kept["curve_times"], kept["curve"]),
        ("data_high", kept["curve_times"], kept["data_high"]),
    ):
        part = [row for row in rows if row["what"] == what]
        np.testing.assert_allclose(column(part, "time (s)"), times.ravel(), rtol=1e-6)
        heads = list(part[0])[3:]
        found = np.stack([column(part, head) for head in heads], axis=-1)
        np.testing.assert_allclose(found, values.reshape(-1, len(heads)), rtol=1e-6)
    rows = read(folder / "waterfall.csv")
    ended = kept["objectives"]
    np.testing.assert_allclose(
        column(rows, "objective"), np.where(np.isfinite(ended), ended, np.nan), rtol=1e-6
    )
    rows = read(folder / "profiles.csv")
    np.testing.assert_allclose(column(rows, "value"), kept["profile_values"].ravel(), rtol=1e-6)
    rows = read(folder / "estimates.csv")
    shared = [row for row in told["latents"] if row["record"] is None]
    assert {row["name"] for row in rows} <= {row["name"] for row in shared}
    rows = read(folder / "correlation.csv")
    names = told["correlation"]["names"]
    found = np.stack([column(rows, name) for name in names], axis=-1)
    np.testing.assert_allclose(found, np.asarray(told["correlation"]["matrix"], float), rtol=1e-6)


def test_networks_in_an_equation_have_numbers_for_each_call(tmp_path):
    calls = [
        {"label": "f(x)", "arguments": ["x"]},
        {"label": "g(x, y)", "arguments": ["x", "y"]},
    ]
    given = {
        **arrays(), "found_values": np.array([[1.0, 10.0], [2.0, 20.0]]),
        "found_arguments_0": np.array([[0.1], [0.2]]),
        "found_arguments_1": np.array([[0.3, 0.4], [0.5, 0.6]]),
    }  # fmt: skip
    page = page_of(equation_content())
    equation = replace(
        page.equation, account={**page.equation.account, "hybrid": {"calls": calls}}, arrays=given
    )
    from unweave.report._numbers import as_csv, numbers_of

    text = as_csv(numbers_of(replace(page, equation=equation))["found"])
    assert text.splitlines() == [
        "network,argument 1,argument 2,value", "f(x),0.1,,1", "f(x),0.2,,2",
        '"g(x, y)",0.3,0.4,10', '"g(x, y)",0.5,0.6,20',
    ]  # fmt: skip
