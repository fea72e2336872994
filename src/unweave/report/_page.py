"""The page: one HTML file that needs no network and runs no script but its own."""

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from .._files import write_whole
from ._answers import HEAD, finite
from ._content import Measure, ReportContent
from ._equation import EquationContent
from ._estimates import facts_of, headline_of, posterior_words, residual_words, rows_of
from ._figures import answer_figures, figures, is_image, sliders
from ._mathml import mathml
from ._numbers import as_csv, numbers_of
from ._tools import sentences_of
from ._words import (
    count,
    duration,
    kind_of_density,
    noun,
    number,
    percent,
    sentence,
    typeset,
    verdict,
)


def write_report(where: Path | str, content: ReportContent) -> Path:
    """Writes the page to `where`, a file that ends in .html, or as report.html in a folder, and
    beside it, into a folder that is called after it, the numbers of its figures as CSV.

    The page replaces what stands there in one step, so a crash leaves the old one whole.
    """
    where = Path(where)
    path = where if where.suffix.lower() in (".html", ".htm") else where / "report.html"
    folder = path.parent / f"{path.stem}-figures"
    page = render(content, numbers=folder.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, columns in numbers_of(content).items():
        folder.mkdir(exist_ok=True)
        write_whole(folder / f"{name}.csv", [as_csv(columns).encode()])
    write_whole(path, [page.encode()])
    return path


def render(content: ReportContent, *, numbers: str = "") -> str:
    """The page as text; the same content gives the same text. `numbers` is the folder beside it
    that holds its figures' numbers, where they were written.

    Whatever comes from data is escaped, and the page's security policy allows no connection
    and, of all scripts, only the one below by its hash.
    """
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    turn = sliders(content)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_text),
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        content=content,
        policy=(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
            f"script-src 'sha256-{digest}'"
        ),
        style=Markup(_text("page.css")),
        script=Markup(script),
        verdict=[typeset(sentence) for sentence in verdict(content)],
        headline=_headline(content),
        measures=_measures(content),
        figures=figures(content),
        numbers={name: f"{quote(numbers)}/{name}.csv" for name in numbers_of(content)}
        if numbers
        else {},
        turn=turn,
        turn_data=Markup(_json(turn)),
        noun=noun(content),
        count=count,
        duration=duration,
        stopped=sentence(content.stopped),
        pictures=is_image(content.schema),
        answers=_answers(content),
        answer_head=HEAD,
        shape=" × ".join(map(str, content.schema.shape)),
        **_of_equation(content.equation),
    )


def _of_equation(equation: EquationContent | None) -> dict[str, Any]:
    """What the equation's sections show, beside the figures."""
    if equation is None:
        return {}
    account = equation.account
    return {
        "account": account,
        "confidence": f"{100 * account['confidence']:.3g} %",
        "formula": mathml(account["latex"] or ""),
        "shared": rows_of(account, own=False),
        "own": rows_of(account, own=True),
        "facts": facts_of(account),
        "left_over": residual_words(account),
        "posterior": posterior_words(account),
        "phase_words": equation.phase_words,
        "records": len(equation.records),
    }


def _answers(content: ReportContent) -> list[dict[str, Any]]:
    """What was asked of the model: each answer with its figures and what was done."""
    return [
        {
            "name": one.name, "question": typeset(one.question),
            "sentences": [typeset(words) for words in one.sentences],
            "warnings": [typeset(words) for words in one.warnings],
            "rows": one.rows, "command": one.command,
            "figures": answer_figures(one), "methods": " ".join(sentences_of(one.methods)),
        }
        for one in content.answers
    ]  # fmt: skip


def _headline(content: ReportContent) -> list[tuple[str, str]]:
    """The few numbers at the top: value, name."""
    if content.equation is not None:
        return headline_of(content.equation.account)
    shown = []
    if content.prediction is not None:
        told = content.prediction
        shown.append((percent(told["score"]), f"{told['kind']}, test"))
        shown.append((f"{told['parameters']:,}", "parameters"))
    if content.explained_variance is not None:
        shown.append((percent(content.explained_variance.value), "explained variance, test"))
    if content.active is not None:
        shown.append((f"{sum(content.active)} of {len(content.active)}", "latents active"))
    if content.log_density is not None:
        kind = kind_of_density(content.log_density.kind).split(",")[0]
        shown.append((number(content.log_density.value), f"nats per observation, {kind}"))
    if content.seconds is not None:
        shown.append((duration(content.seconds), "to train"))
    return shown


def _measures(content: ReportContent) -> list[tuple[str, str, str, str, str]]:
    """Rows of the table: measure, value, spread, number of observations, kind."""
    rows = []
    if content.explained_variance is not None:
        rows.append(_share("explained variance, test", content.explained_variance))
    for name, measure in content.baselines.items():
        rows.append(_share(f"… by {name}", measure))
    if content.explained_variance_train is not None:
        value = percent(content.explained_variance_train)
        n = content.n_train_measured or content.n_train
        seen = "training" if content.equation is None else "the data of the fit"
        rows.append((f"explained variance, {seen}", value, "", f"{n:,}", ""))
    if content.log_density is not None:
        measure = content.log_density
        spread = "" if measure.spread is None else f"± {number(measure.spread)}"
        kind = kind_of_density(measure.kind)
        rows.append(
            ("log-density, nats per observation", number(measure.value), spread,
             f"{measure.n:,}", kind)
        )  # fmt: skip
    return rows


def _share(name: str, measure: Measure) -> tuple[str, str, str, str, str]:
    spread = "" if measure.spread is None else f"± {100 * measure.spread:.2f} %"
    return name, percent(measure.value), spread, f"{measure.n:,}", measure.kind


def _json(data: Any) -> str:
    """JSON that no HTML parser can be talked out of: `<`, `>` and `&` are escaped."""
    text = json.dumps(finite(data), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _text(name: str) -> str:
    return files("unweave.report").joinpath(name).read_text(encoding="utf-8")
