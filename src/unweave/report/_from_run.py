"""From a run to its page: asks the model for what the page shows."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import show
from .._model import (
    AbstractDecoder,
    AbstractEncoder,
    AbstractSampler,
)
from ..run import Run
from ._answers import kept
from ._citations import bibtex, keys_of_equation, keys_of_recipe
from ._content import Measure, ReportContent
from ._equation import EquationContent
from ._page import write_report
from ._tools import keys_of_tools

_SAMPLES = 64
_STEPS = 13


def write_run_report(run: Run, *, output: str | Path | None = None) -> Path:
    """Writes the page of `run`, to `output` or as report.html into the run's folder."""
    where = output if output is not None else run.folder
    if where is None:
        raise ValueError("this run has no folder; say where the report goes: output='report.html'.")
    return write_report(where, content_of(run))


def content_of(run: Run) -> ReportContent:
    """Everything that the page of `run` shows, in the user's units."""
    result, model, equation = run.result, run.model, equation_of(run)
    x = xhat = walk = None
    names: tuple[str, ...] = ()
    if isinstance(model, AbstractDecoder):
        names = model.latents.names
        walk = show.traverse(
            model, steps=_STEPS, condition=jax.tree.map(lambda part: part[0], run.conditions)
        )
        # an equation is drawn over the data that it was fitted to
        if isinstance(model, AbstractEncoder) and equation is None:
            x = run.examples
            xhat = show.reconstruct(model, x, conditions=run.conditions)
    samples = None
    if isinstance(model, AbstractSampler):
        samples = show.draw(model, _SAMPLES, conditions=run.conditions, key=jax.random.key(0))
    kl = result["kl_per_latent"]
    explained = result["explained_variance"]
    density = result["log_density"]
    n = result["n_test"]
    asked = result.get("n_test_measured", n)
    source = run.settings["data"]
    answers, unread = kept(run)
    keys = (
        keys_of_recipe(result["recipe"]) if equation is None
        else keys_of_equation(equation.account)
    )  # fmt: skip
    return ReportContent(
        title=title_of(run),
        recipe=result["recipe"],
        schema=run.schema,
        source=", ".join(Path(p).name for p in source.get("paths", ())) or "data given in memory",
        n_train=result["n_train"],
        n_validation=result["n_validation"],
        n_test=n,
        split=result["split"],
        latents=names,
        options={k: v for k, v in run.settings["options"].items() if v is not None},
        command=_command(run.settings),
        notes=tuple(result["notes"]),
        epochs=result["epochs"],
        seconds=result["seconds"],
        stopped=result["stopped"],
        rows=run.rows,
        citations=bibtex([*keys, *keys_of_tools(m for one in answers for m in one.methods)]),
        explained_variance=None if explained is None else Measure(explained, asked),
        explained_variance_train=result["explained_variance_train"],
        n_train_measured=result["n_train_measured"],
        baselines={_BASELINES[k].format(result["latents"]): Measure(v, n)
                   for k, v in result["baselines"].items()},
        log_density=None
        if density is None
        else Measure(density, asked, kind=result["density_kind"]),
        kl=None if kl is None else np.asarray(kl),
        active=None if result["active"] is None or not names else tuple(result["active"]),
        x=x,
        xhat=xhat,
        samples=samples,
        traversal=walk,
        equation=equation,
        prediction=result.get("prediction"),
        health=tuple(result.get("health", ())),
        choices=result.get("choices"),
        answers=answers,
        unread=unread,
    )  # fmt: skip


def equation_of(run: Run) -> EquationContent | None:
    """What the page and the article show of the equation that `run` fitted; None without one."""
    account = run.result.get("equation")
    if account is None:
        return None
    return EquationContent(account, tuple(map(str, run.result["records"])), run.arrays)


_BASELINES = {"mean": "the mean observation", "pca": "PCA with {} latents"}


def title_of(run: Run) -> str:
    """What the page is called: recipe, kind of observation, channels."""
    channels = run.schema.channels
    what = ", ".join(channels) if len(channels) <= 3 else f"{len(channels)} channels"
    return f"{run.result['recipe']} · {run.schema.kind} · {what}"


def _command(settings: Mapping[str, Any]) -> str:
    """The command line that repeats a run, where its data have a name."""
    source = dict(settings["data"])
    if not source.get("paths"):
        return ""
    words = ["unweave", "fit", settings["recipe"], *source.pop("paths")]
    for records in source.pop("same_patient", ()):
        words += ["--same-patient", records]
    for name, value in {**source, **settings["options"], "seed": settings["seed"]}.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list | tuple):
            words += [flag, ",".join(map(str, value))]
        elif value not in (None, ""):
            words += [flag, str(value)]
    return shlex.join(words)
