"""The page of a fitted equation: its formula, its numbers and figures, and no word too much."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from accounts import TEXT, account, arrays, content, latent, run, schema
from test_report import Page
from unweave import plots
from unweave.report import EquationContent, ReportContent, content_of, render, verdict
from unweave.report._citations import bibtex, keys_of_equation, keys_of_recipe
from unweave.report._equation_figures import equation_figures
from unweave.report._estimates import (
    facts_of,
    interval_of,
    measured,
    noise_of,
    posterior_words,
    residual_words,
    solver_of,
)
from unweave.report._mathml import mathml

FIGURES = {"fit", "residuals", "waterfall", "profiles", "estimates", "correlation"}


def page_of(equation):
    n = len(equation.records)
    return ReportContent(
        title="swing.ode", recipe="equation", schema=schema(), source="swing.csv", n_train=n,
        n_validation=0, n_test=0, split="", latents=(), equation=equation,
        stopped="57 starts agree", seconds=0.4, explained_variance_train=0.97,
        citations=bibtex(keys_of_equation(equation.account)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def text():
    return render(page_of(content()))


def words_of(html):
    """What a reader sees: no tags, no figures, no style."""
    html = re.sub(r"<(style|svg|script).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_verdict_comes_first_and_is_the_account_s_own(text):
    assert verdict(page_of(content())) == tuple(account()["verdict"])
    said = words_of(text)
    assert said.index("The equation fits") < said.index("latents determined")
    assert said.index("latents determined") < said.index("The equation x")
    for part in ("4 of 4 latents determined", "57 of 64 starts agree", "212.4 nats"):
        assert part in said


def test_every_part_of_the_account_is_on_the_page(text):
    said = words_of(text)
    for part in (
        "w 1.700 ± 0.011 1.682 to 1.718 1/s determined",
        "run 2 x(0) 0.500 ± 0.021 0.465 to 0.535 m determined",
        "The data determine every latent.",
        "A measurement of v near 0.9 s would narrow c most.",
        "The residuals look like white noise in both channels.",
        "x: correlation of neighbours 0.03, Ljung–Box p = 0.42",
        "Gaussian noise with standard deviation 0.06 m in x, 0.11 m/s in v",
        "four steps in each interval; at most 0.0021 standard deviations",
        "228, 6 fitted",
        "57 of 64 agree, 3 failed",
        "−412.8",
        "Parts 2 to fit",
    ):
        assert part in said, part
    for name in FIGURES:
        assert f'id="{name}-' in text
    assert str(escape(TEXT.strip())) in text


def test_nothing_on_the_page_speaks_of_training(text):
    assert not re.search(r"\b(train|epoch|batch|latents? active)", words_of(text), re.IGNORECASE)


def test_the_page_is_well_formed_and_asks_for_nothing(text):
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.scripts == 0
    assert all(link.startswith(("#", "data:")) for link in page.links)
    outside = set(re.findall(r"https?://[^\"'\s<]+", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert render(page_of(content())) == text


def test_names_from_data_stay_names():
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>&amp;"
    found = account(
        text=name, latex=name, time_unit=name, verdict=[name], notes=[name],
        noise={"kind": name, "scale": [1.0, 1.0], "channels": [name, "v"], "units": [name, name]},
        latents=[latent(name, name, 1.0, 0.1, status=name),
                 latent(name, name, 1.0, 0.1, record=name)],
        correlation={"names": [name, "b"], "matrix": [[1, 0.5], [0.5, 1]]},
        solver={"method": name, "substeps": 1, "error": 0.0},
        identifiability={"sentences": [name], "determined": [name], "undetermined": [name]},
        next={"sentence": name, "channel": name, "time": 0.0},
        residuals={"sentences": [name], "lag1": [0.1, 0.1], "ljung_box_p": [0.5, 0.5]},
        posterior={"sentences": [name], "draws": 9, "divergences": 0, "r_hat": 1.0},
    )  # fmt: skip
    equation = EquationContent(
        found, (name, "b"), arrays(), plots.correlation(np.eye(1), [name]), (name,)
    )
    written = render(page_of(equation))
    for part in (name, "<script", "<img", "<b>"):
        assert part not in written
    assert Page(written).open == []


def test_what_there_is_not_is_not_on_the_page():
    bare = account(
        latex="", profiles=[], posterior=None, next=None, aic=None, bic=None,
        latents=[latent("w", "1/s", 1.7, None, status="undetermined")],
        correlation={"names": ["w"], "matrix": [[1.0]]},
        residuals={"sentences": [], "lag1": [], "ljung_box_p": []},
    )  # fmt: skip
    equation = EquationContent(bare, ("one",), {"objectives": np.array([1.0])})
    assert equation_figures(equation) == {}
    written = render(page_of(equation))
    assert Page(written).open == []
    said = words_of(written)
    for heading in ("The fit", "Profiles", "Posterior", "What is left over", "Phase portrait"):
        assert heading not in said
    assert "w 1.700 1/s undetermined" in said
    assert "<math" not in written


def test_a_phase_portrait_and_its_words_have_a_section():
    equation = replace(
        content(), phase=plots.correlation(np.eye(2), "ab"), phase_words=("A focus, stable.",)
    )
    said = words_of(render(page_of(equation)))
    assert "Phase portrait A focus, stable." in said


def test_many_latents_of_single_records_are_folded_away():
    written = render(page_of(content(20)))
    assert "<summary>20 latents of single records</summary>" in written
    assert "latents of single records" not in render(page_of(content(3)))


def test_a_run_becomes_content_without_asking_for_what_an_equation_has_not():
    found = content_of(run())
    assert found.equation is not None
    assert found.equation.records == ("run 1", "run 2")
    assert set(equation_figures(found.equation)) == FIGURES
    assert found.x is None, "the fit is drawn over the data instead"
    written = render(found)
    assert Page(written).open == []
    assert not re.search(r"\btrain", words_of(written))
    assert 'id="turn"' in written


def test_content_of_other_records_is_refused():
    with pytest.raises(ValueError, match="3 records were named, and the arrays hold 2"):
        EquationContent(account(), ("a", "b", "c"), arrays(2))


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (1.7, 0.011, "1.700 ± 0.011"),
        (0.2199, 0.0194, "0.220 ± 0.019"),
        (-103.26, 2.4, "−103.3 ± 2.4"),
        (5.0, 41.0, "5 ± 41"),
        (1234567.0, 8900.0, "(1.2346 ± 0.0089) × 10⁶"),
        (3.2e-7, 4e-9, "(3.200 ± 0.040) × 10⁻⁷"),
        (0.5, None, "0.5000"),
        (2.5e9, None, "2.500 × 10⁹"),
        (0.0, 0.1, "0.00 ± 0.10"),
        (0.0, None, "0.000"),
        (None, 0.1, "not known"),
        (float("nan"), None, "not known"),
    ],
)
def test_an_estimate_has_the_digits_of_its_error(value, error, said):
    assert measured(value, error) == said


def test_an_interval_may_be_open():
    row = latent("m", "kg", 5.0, 0.21)
    assert interval_of(row) == "4.65 to 5.35"
    assert interval_of({**row, "high": None}) == "4.65 to open"
    assert interval_of({**row, "low": None, "high": None}) == ""
    assert interval_of({**row, "standard_error": None, "low": 4.0, "high": 6.0}) == "4.00 to 6.00"


def test_noise_and_solver_in_words():
    noise = account()["noise"]
    poisson = account(noise={**noise, "kind": "poisson", "scale": []})
    assert noise_of(poisson) == "Poisson noise"
    relative = account(noise={**noise, "kind": "log-normal"})
    assert noise_of(relative).endswith("logarithm has standard deviation 0.06 in x, 0.11 in v")
    stiff = account(solver={"method": "stiff", "substeps": None, "error": None})
    assert solver_of(stiff) == "an implicit method for stiff equations with automatic steps"
    once = account(solver={"method": "grid", "substeps": 1, "error": 0.0})
    assert "one step in each interval" in solver_of(once)


def test_residuals_without_a_sentence_get_one_where_they_were_tested():
    quiet = {"sentences": [], "lag1": [0.1, 0.0], "ljung_box_p": [0.3, 1e-9]}
    assert residual_words(account(residuals=quiet)) == [
        "No correlation in time is seen in what is left over.",
        "x: correlation of neighbours 0.10, Ljung–Box p = 0.3; v: correlation of neighbours 0.00, "
        "Ljung–Box p = below 0.0001.",
    ]


def test_the_posterior_says_how_it_was_drawn():
    drawn = {"sentences": ["It is round."], "draws": 2000, "divergences": 0, "r_hat": 1.0012}
    assert posterior_words(account(posterior=drawn)) == [
        "It is round.",
        "2,000 draws, no divergences, largest R-hat 1.001.",
    ]
    assert posterior_words(account()) == []


def test_what_is_not_determined_is_said_with_what_is():
    found = account(
        identifiability={"sentences": [], "determined": ["c/m"], "undetermined": ["m", "l"]}
    )
    assert {("Not determined", "m, l"), ("Determined", "c/m")} <= set(facts_of(found))


def test_citations_are_of_what_was_used():
    base = ["levenberg1944", "marquardt1963", "varah1982"]
    bare = account(aic=None, bic=None, profiles=[], residuals={"ljung_box_p": []})
    assert list(keys_of_equation(bare)) == base
    full = account(posterior={"draws": 1}, solver={"method": "explicit"})
    assert set(keys_of_equation(full)) == {
        *base, "tsitouras2011", "kidger2021", "ljung1978", "akaike1974", "schwarz1978",
        "raue2009", "hoffman2014", "phan2019",
    }  # fmt: skip
    assert "kvaerno2004" in keys_of_equation(account(solver={"method": "stiff"}))
    for key, entry in zip(keys_of_equation(full), bibtex(keys_of_equation(full)), strict=True):
        assert re.match(rf"@\w+{{{key},\n", entry)
    assert keys_of_recipe("equation") == ()


MATHEMATICS = [
    (r"x_{1}^{2}", "x12", {"msubsup": 1}),
    (r"\dot{\theta} = -\frac{g}{l} \sin\left(\theta\right)", "θ˙=−glsin(θ)", {"mfrac": 1}),
    (r"\mathrm{k\_max} \le 1.5 \times 10^{-3}", "k_max≤1.5×10−3", {"msup": 1}),
    (r"\begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{else} \end{cases}", None, {"mtr": 2}),
    (r"\begin{aligned} x &= \sqrt{2} \\ y &= \log_{10}\left(x\right) \end{aligned}", None,
     {"mtd": 4, "msqrt": 1}),
    (r"\left|x\right| + \left\lfloor y \right\rfloor", "|x|+⌊y⌋", {"mrow": 5}),
    (r"\mathcal{N}\left(m, s\right)\, \mathrm{d}W", None, {}),
    ("α + 心", "α+心", {}),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "letters", "tags"), MATHEMATICS)
def test_mathematics_becomes_mathml(latex, letters, tags):
    tree = ET.fromstring(mathml(latex))
    if letters is not None:
        assert "".join(tree.itertext()) == letters
    for tag, count in tags.items():
        assert len(list(tree.iter(tag))) == count
    # a script has exactly the children that its kind asks for
    for kind, children in {"msub": 2, "msup": 2, "msubsup": 3, "mfrac": 2, "mover": 2}.items():
        assert all(len(found) == children for found in tree.iter(kind))


@pytest.mark.parametrize(
    "latex",
    [
        r"\input{/etc/passwd}", r"\write18{ls}", r"x^", "{x", "x}", r"\frac{1}", r"\left( x",
        r"\begin{aligned} x", r"\begin{tabular}x\end{tabular}", "x $ y", "x % y",
        r"\mathrm{\input}", r"x^2^3", "{" * 5000, r"\left(" * 5000, "x" * 30_000, r"\def\x{1}",
        r"a & b", "#1", r"\catcode", "", " ",
        r"\begin{aligned} x \end{cases}", r"\text{$x$}", r"\csname x\endcsname", "^^41",
    ],
)  # fmt: skip
def test_anything_else_is_no_mathematics(latex):
    assert mathml(latex) is None
