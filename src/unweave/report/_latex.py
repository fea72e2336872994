"""A fit or an analysis as an article: LaTeX, vector figures, and references of what was used."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .. import plots
from .._files import write_whole
from .._version import __version__
from ..run import Run
from . import _tex as tex
from ._answers import Answer, kept
from ._citations import bibtex, keys_of_equation
from ._equation import EquationContent
from ._equation_figures import equation_figures
from ._estimates import (
    has_scale,
    noise_of,
    posterior_words,
    residual_words,
    rows_of,
    solver_of,
)
from ._from_run import equation_of, title_of
from ._latex_answers import answer_section
from ._tools import cited_sentences_of, keys_of_tools
from ._words import number

# the columns of the equilibria, whose places may be long
_PLACES = r"p{0.36\textwidth}p{0.22\textwidth}p{0.3\textwidth}"
_LONGEST = 28
_CAPTIONS = {
    "fit": "Observations (points) over the fitted curve. The darker band holds the curve with "
    "{share} confidence, the fainter one, with the noise, {share} of the observations.",
    "estimates": "Intervals in percent of the estimates; grey latents are not determined.",
    "correlation": "Correlations of the estimates: squares below the diagonal, blue where "
    "negative and orange where positive, and the numbers above it.",
    "profiles": "Profile likelihoods: the best fit with one latent held at each value, the "
    "threshold of {share} confidence (dashed) and the interval.",
    "residuals": "Standardised residuals over time, and their autocorrelation with the 95 % band "
    "of white noise.",
    "phase": "Phase portrait at the fitted values.",
    "waterfall": "How far above the best every start ended.",
}


def write_article(folder: Path | str, run: Run) -> Path:
    """Writes the fit of an equation as `article.tex` into `folder`, with `references.bib` and
    its figures as PDF, and returns the path of the article.

    It compiles with `latexmk -pdf article.tex` and needs the packages amsmath, array, graphicx,
    longtable, geometry and hyperref; where there is booktabs its rules are finer. Raises
    `ValueError` where the run fitted no equation.
    """
    content = equation_of(run)
    if content is None:
        raise ValueError(
            f"this run of {run.result['recipe']} fitted no equation, and an article is written of "
            "an equation; for its page use: unweave report RUN."
        )
    return write_equation(folder, content, title=title_of(run), answers=kept(run)[0])


def write_equation(
    folder: Path | str, content: EquationContent, *, title: str, answers: Sequence[Answer] = ()
) -> Path:
    """As `write_article`, from what the page shows of an equation and of the `answers` of tools."""
    account = content.account
    drawn = {name: figure for name, (figure, _) in equation_figures(content).items()}
    shown = _figures(Path(folder), drawn)
    share = f"{100 * account['confidence']:.3g} %"
    pictures = {
        name: tex.picture(file, _CAPTIONS[name].format(share=share), width=_width(drawn[name]))
        for name, file in shown.items()
    }
    keys, methods = keys_of_equation(account), [m for one in answers for m in one.methods]
    following = [account["next"]["sentence"]] if account["next"] else []
    parts = [
        _section("", account["verdict"]),
        _section("Equations", [], tex.formula(account["latex"] or "", account["text"])),
        _section("Estimates", [], *_tables(account, share), *_some(pictures, "fit", "estimates")),
        _section(
            "What the data determine", [*account["identifiability"]["sentences"], *following],
            *_some(pictures, "correlation", "profiles"),
        ),
        _section("Posterior", posterior_words(account)),
        _section("Residuals", residual_words(account), *_some(pictures, "residuals")),
        _section("Behaviour", content.phase_words, *_some(pictures, "phase")),
        *(answer_section(Path(folder), answer) for answer in answers),
        _section(
            "Methods", [],
            " ".join([_methods(content, keys, share), *cited_sentences_of(methods, tex.escape)]),
            *_some(pictures, "waterfall"),
        ),
    ]  # fmt: skip
    return _write(Path(folder), title, parts, bibtex([*keys, *keys_of_tools(methods)]))


def write_analysis(
    folder: Path | str,
    *,
    title: str,
    latex: str,
    text: str = "",
    equilibria: Sequence[tuple[str, str, Iterable[complex | float]]] = (),
    figures: Mapping[str, Figure] | None = None,
    sentences: Sequence[str] = (),
) -> Path:
    """Writes an analysis as `article.tex` into `folder`, its figures as PDF beside it, and
    returns the path of the article.

    **Arguments:** `latex`, the equations as displayed mathematics, and `text`, which stands for
    them where they hold anything else; `equilibria`, the place, the type and the eigenvalues of
    each; `figures` by their captions; `sentences`, what was found.
    """
    drawn = dict(figures or {})
    shown = _figures(Path(folder), drawn)
    pictures = [tex.picture(shown[c], c, width=_width(drawn[c])) for c in drawn]
    rows = [
        (place, kind, ", ".join(_complex(value) for value in values))
        for place, kind, values in equilibria
    ]
    found = [tex.table(_PLACES, ("equilibrium", "type", "eigenvalues"), rows)] if rows else []
    parts = [
        _section("", sentences),
        _section("Equations", [], tex.formula(latex, text or latex)),
        _section("Equilibria", [], *found),
        _section("Figures", [], *pictures),
    ]
    return _write(Path(folder), title, parts, ())


def _write(folder: Path, title: str, parts: Sequence[str], references: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "article.tex"
    if references:
        write_whole(folder / "references.bib", ["\n\n".join(references).encode() + b"\n"])
    name = "references" if references else ""
    whole = tex.article(title, [part for part in parts if part], references=name)
    write_whole(path, [whole.encode("ascii")])
    return path


def _figures(folder: Path, figures: Mapping[str, Figure]) -> dict[str, str]:
    """Writes each figure, and says by its name which file the article includes."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for place, (name, figure) in enumerate(figures.items(), 1):
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
        file = f"figures/{words or 'figure'}.pdf"
        if file in files.values():
            file = f"figures/{words or 'figure'}-{place}.pdf"
        plots.save(figure, folder / file)
        files[name] = file
    return files


def _width(figure: Figure) -> str:
    # a figure of the full width is 7.2 inches wide; smaller ones stay as small
    return rf"{min(figure.get_figwidth() / 7.2, 1.0):.2f}\textwidth"


def _section(title: str, sentences: Sequence[str], *blocks: str) -> str:
    """A section; "" where it would be empty."""
    words = [tex.escape(" ".join(sentences))] if sentences else []
    if not words and not blocks:
        return ""
    head = [f"\\section*{{{title}}}"] if title else []
    return "\n\n".join([*head, *words, *blocks])


def _some(pictures: Mapping[str, str], *names: str) -> list[str]:
    return [pictures[name] for name in names if name in pictures]


def _tables(account: Mapping, share: str) -> list[str]:
    head = ("latent", "estimate ± standard error", f"{share} interval", "unit", "status")
    shared, own = (
        [tuple(map(_short, row)) for row in rows_of(account, own=own)] for own in (False, True)
    )
    tables = [tex.table("lrrll", head, [row[1:] for row in shared])] if shared else []
    if own:
        tables.append(tex.table("llrrll", ("record", *head), own))
    return tables


def _short(cell: str) -> str:
    """What fits into a column: names and units are as long as their users like."""
    return cell if len(cell) <= _LONGEST else cell[: _LONGEST - 1] + "…"


def _methods(content: EquationContent, keys: Sequence[str], share: str) -> str:
    """How the fit was made, each method with its reference."""
    account, starts = content.account, content.account["starts"]

    def cited(*names: str) -> str:
        used = [name for name in names if name in keys]
        return rf" \cite{{{','.join(used)}}}" if used else ""

    failed = f", and {starts['failed']} failed" if starts["failed"] else ""
    scaled = ", whose scale was estimated with them" if has_scale(account) else ""
    said = [
        tex.escape(
            f"The {account['free']} free numbers were estimated from {account['n']:,} observed "
            f"ones by maximum likelihood under {noise_of(account)}{scaled}, by the method of "
            "Levenberg and Marquardt"
        )
        + cited("levenberg1944", "marquardt1963")
        + f" from {starts['n']} starts, improved by matching the slopes of splines"
        + cited("varah1982")
        + f"; {starts['agree']} of them reached the best optimum{failed}.",
        tex.escape(f"The equation was solved by {solver_of(account)}")
        + cited("tsitouras2011", "kvaerno2004", "kidger2021")
        + ".",
        tex.escape(
            f"Standard errors and the {share} intervals come from Fisher's information there."
        ),
        f"The log-likelihood is {tex.escape(number(float(account['log_likelihood'])))} nats"
        + "".join(
            f", the criterion of {name}{cited(key)} {tex.escape(number(float(account[short])))}"
            for name, short, key in (
                ("Akaike", "aic", "akaike1974"),
                ("Schwarz", "bic", "schwarz1978"),
            )
            if account[short] is not None
        )
        + ".",
    ]
    if "ljung1978" in keys:
        said.append(f"The residuals were tested for correlation in time{cited('ljung1978')}.")
    if account["profiles"]:
        said.append(f"Profile likelihoods{cited('raue2009')} were computed.")
    if account["posterior"]:
        said.append(
            f"The posterior was drawn with the No-U-Turn sampler{cited('hoffman2014')} of "
            f"NumPyro{cited('phan2019')}."
        )
    said.append(f"The computations were made with unweave {tex.escape(__version__)}.")
    return " ".join(said)


def _complex(value: complex | float) -> str:
    """An eigenvalue, real where its imaginary part is nothing beside it."""
    value = complex(value)
    if abs(value.imag) <= 1e-9 * max(abs(value), 1e-12):
        return number(value.real)
    sign = "−" if value.imag < 0 else "+"
    return f"{number(value.real)} {sign} {number(abs(value.imag))} i"
