"""Articles: everything from data is escaped, every method has its reference, and LaTeX takes it."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from accounts import TEXT, account, arrays, content, latent, run
from test_equation_page import MATHEMATICS
from unweave import plots
from unweave.report import EquationContent, write_analysis, write_article
from unweave.report._latex import write_equation
from unweave.report._tex import escape, formula

NASTY = (
    '100 % of $x_1$ & #2 {a} ~b^c \\input{secret} <d> |e| "f" `g` [h] *i* 10⁻³ µm² −1 ± 0.5 °C '
    "é ß ø ñ Ł α → 心拍 \x00 --long-option theta'' – — “q” … \u202e"
)


@pytest.fixture(scope="module")
def article(tmp_path_factory):
    return write_article(tmp_path_factory.mktemp("article"), run())


def hostile():
    name = NASTY
    found = account(
        text=name, latex=name, time_unit=name, verdict=[name], notes=[name],
        noise={"kind": "gaussian", "scale": [1.0, 1.0], "channels": [name, "v"],
               "units": [name, name]},
        latents=[latent(name, name, 1.0, 0.1, status=name),
                 latent("[b]", name, 1.0, 0.1, record=name)],
        correlation={"names": [name, "b"], "matrix": [[1, 0.5], [0.5, 1]]},
        identifiability={"sentences": [name], "determined": [name], "undetermined": [name]},
        next={"sentence": name, "channel": name, "time": 0.0},
        residuals={"sentences": [name], "lag1": [0.1, 0.1], "ljung_box_p": [0.5, 0.5]},
        posterior={"sentences": [name], "draws": 9, "divergences": 0, "r_hat": 1.0},
        solver={"method": "stiff", "substeps": None, "error": 0.01},
    )  # fmt: skip
    phase = plots.correlation(np.eye(2), "ab")
    return EquationContent(found, (name, "b"), arrays(), phase, (name,))


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 5 % of $1", r"a\_b \& 5 \% of \$1"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("--starts", "-{}-starts"),
        ("x''", "x'{}'"),
        ("3 µm ± 0.1", r"3 $\mu$m $\pm$ 0.1"),
        ("10⁻³", "10$^{-}$$^{3}$"),
        ("Müller, ñ, ç, Ångström", r"M\"{u}ller, \~{n}, \c{c}, \r{A}ngstr\"{o}m"),
        ("αβ", r"$\alpha$$\beta$"),
        ("心", "{[}U+5FC3]"),
        ("two\nlines\x00\tmore", "two lines more"),
        ("[0] *", "{[}0] {*}"),
        ("", ""),
    ],
)
def test_text_is_escaped(text, latex):
    assert escape(text) == latex


def test_only_mathematics_is_printed_as_mathematics():
    aligned = "\\begin{aligned}\nx &= \\alpha \\\\\ny &= 1\n\\end{aligned}"
    assert formula(aligned, "") == "\\begin{align*}\nx &= \\alpha \\\\\ny &= 1\n\\end{align*}"
    assert formula("θ^{2}", "") == "\\[\n{\\theta}^{2}\n\\]"
    for latex in (r"\input{secret}", "心", "", "x$"):
        shown = formula(latex, "x' = -k*x  # a\n\n[1]")
        assert "\\input" not in shown
        assert "x' = -k{*}x~~\\# a\\\\\n\\strut\\\\\n{[}1]" in shown


def test_an_article_has_every_part_of_the_account(article):
    text = article.read_text()
    assert article.name == "article.tex"
    for part in (
        "The equation fits: what is left over looks like noise.",
        r"\begin{align*}",
        r"\dot{v} &= - c v - w^{2} x",
        r"w & 1.700 $\pm$ 0.011 & 1.682 to 1.718 & 1/s & determined \\",
        r"run 2 & x(0) & 0.500 $\pm$ 0.021 & 0.465 to 0.535 & m & determined \\",
        "The data determine every latent. A measurement of v near 0.9 s would narrow c most.",
        "The 6 free numbers were estimated from 228 observed ones by maximum likelihood",
        r"Levenberg and Marquardt \cite{levenberg1944,marquardt1963} from 64 starts",
        r"57 of them reached the best optimum, and 3 failed",
        "The log-likelihood is 212.4 nats",
    ):
        assert part in text, part
    for name in ("fit", "estimates", "correlation", "profiles", "residuals", "waterfall"):
        assert f"{{figures/{name}.pdf}}" in text
        assert (article.parent / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_references_are_those_that_are_cited(article, tmp_path):
    for path in (article, write_equation(tmp_path, hostile(), title="t")):
        cited = set(",".join(re.findall(r"\\cite\{([^}]*)\}", path.read_text())).split(","))
        entries = (path.parent / "references.bib").read_text()
        assert cited == set(re.findall(r"@\w+\{(\w+),", entries))
    assert {"kvaerno2004", "hoffman2014", "raue2009"} <= cited


def test_the_same_run_gives_the_same_bytes(article, tmp_path):
    again = write_article(tmp_path, run())
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*.*"))
    assert len(files) == 8
    for file in files:
        assert (again.parent / file).read_bytes() == (article.parent / file).read_bytes(), file


def test_nothing_from_data_is_a_command(tmp_path):
    text = write_equation(tmp_path, hostile(), title=NASTY).read_text()
    assert text.isascii()
    assert "\\input" not in text
    assert "\\textbackslash{}input\\{secret\\}" in text


def test_a_run_without_an_equation_has_no_article(tmp_path):
    other = run()
    del other.result["equation"]
    with pytest.raises(ValueError, match="fitted no equation"):
        write_article(tmp_path / "new", other)
    assert not (tmp_path / "new").exists()


def analysis(folder):
    return write_analysis(
        folder, title="competition", latex=r"\dot{x} = x \left(1 - x\right)",
        text="x' = x*(1 - x)",
        equilibria=(("x = 0", "unstable node", (1.0,)), ("[x] = 1", "focus", (-1 + 2j, -1 - 2j))),
        figures={"Phase portrait, x & y": plots.correlation(np.eye(2), "ab"),
                 "phase portrait x y": plots.correlation(np.eye(1), "a"),
                 "心": plots.waterfall(np.ones(3))},
        sentences=("x survives.", NASTY),
    )  # fmt: skip


def test_an_analysis_lists_equilibria_with_their_eigenvalues(tmp_path):
    path = analysis(tmp_path)
    text = path.read_text()
    assert r"x = 0 & unstable node & 1 \\" in text
    assert r"{[}x] = 1 & focus & $-$1 + 2 i, $-$1 $-$ 2 i \\" in text
    assert "\\dot{x} = x \\left(1 - x\\right)" in text
    assert r"Phase portrait, x \& y" in text
    assert "bibliography" not in text
    included = re.findall(r"\{(figures/[^}]*)\}", text)
    assert included == [
        "figures/phase-portrait-x-y.pdf", "figures/phase-portrait-x-y-2.pdf",
        "figures/figure.pdf",
    ]  # fmt: skip
    assert all((tmp_path / name).exists() for name in included)


def test_an_analysis_may_be_no_more_than_an_equation(tmp_path):
    text = write_analysis(tmp_path, title="t", latex="x = 1").read_text()
    assert "\\[\nx = 1\n\\]" in text
    assert "longtable}{" not in text


def compiled(path):
    """Compiles an article as its reader would, and returns the log."""
    for program in ("latexmk", "pdflatex", "bibtex"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; apt install texlive-latex-base latexmk")
    done = subprocess.run(
        ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", path.name],
        cwd=path.parent, capture_output=True, text=True, errors="replace", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    return path.with_suffix(".log").read_text(errors="replace")


@pytest.mark.parametrize("kind", ["fit", "hostile", "analysis", "mathematics"])
def test_latex_compiles_it(kind, tmp_path):
    if kind == "fit":
        path = write_equation(tmp_path, content(30, text=TEXT), title="swing.ode")
    elif kind == "hostile":
        path = write_equation(tmp_path, hostile(), title=NASTY)
    elif kind == "analysis":
        path = analysis(tmp_path)
    else:
        rows = " \\\\ ".join(f"x &= {latex}" for latex, _, _ in MATHEMATICS[:4] + MATHEMATICS[5:7])
        latex = f"\\begin{{aligned}}{rows}\\end{{aligned}}"
        path = write_analysis(tmp_path, title="all", latex=latex)
        assert "align*" in path.read_text()
    log = compiled(path)
    assert not re.search(r"(Citation|Reference)[^\n]*undefined", log)
    assert "Missing character" not in log
