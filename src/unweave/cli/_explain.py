"""`unweave explain`: what of an observation a number read off a model comes from, and how far the
answer is to be trusted."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .. import show, targets
from .._model import (
    AbstractClassifier,
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    capabilities,
)
from ..run import Run, load_run
from ._keep import answered, figure_lines, figure_path, number, save_figure, share
from ._output import Result
from ._progress import is_silent, progress

if TYPE_CHECKING:
    from ..explain import Trust

#: Those whose contributions are from a baseline, and those that fill in what they hide.
_FROM_BASELINE = ("integrated-gradients", "gradient-times-input")
_FILLING = ("occlusion", "lime")
#: How many random orders a deletion is compared with where nothing is said.
_ORDERS, _FEW_ORDERS = 100, 20
#: An attribution that deletes better than a smaller share of random orders, or that redrawn weights
#: rank more alike than this, is doubted.
_BEATEN, _ALIKE = 0.9, 0.7


def explain_verb(options: argparse.Namespace) -> Result:
    """An attribution of one held-out observation with its checks; of an `output` the exact
    sensitivity to every latent."""
    fitted = load_run(options.run)
    n = len(fitted.examples)
    if not 0 <= options.row < n:
        raise ValueError(
            f"--row {options.row} is out of range: the run keeps {n} held-out examples, 0 to "
            f"{n - 1}."
        )
    path = figure_path(options, fitted, "explanation.svg")
    x = fitted.examples[[options.row]]
    conditions = jax.tree.map(lambda part: part[[options.row]], fitted.conditions)
    word = options.target or _usual(fitted.model, x, conditions)
    target = targets.read_target(word, fitted.model)
    if target.of == "latents":
        return _sensitivity(fitted, word, target, options, path, x, conditions)
    return _attribution(fitted, target, options, path, x, conditions)


def _usual(model: Any, x: np.ndarray, conditions: Any) -> str:
    """What is asked of a model where nothing is said: the class it answers, else how surprising
    the observation is, else how badly it is reconstructed."""
    if isinstance(model, AbstractClassifier):
        code = show.codes(model, x, conditions=conditions)[0]
        return f"class:{model.names[int(code.argmax())]}"
    if isinstance(model, AbstractDensity):
        return "surprise"
    if isinstance(model, AbstractDecoder) and isinstance(model, AbstractEncoder):
        return "misfit"
    raise ValueError(
        f"{type(model).__name__} (it has: {', '.join(capabilities(model))}) is no classifier and "
        "has no density; say what is to be explained: --target output:TIME,CHANNEL or "
        "--target latent:NAME."
    )


def _attribution(
    fitted: Run, target: Any, options: argparse.Namespace, path: Path, x: np.ndarray,
    conditions: Any,
) -> Result:  # fmt: skip
    from .. import explain, plots  # Matplotlib is only loaded where something is drawn
    from ..equations import find_equation
    from ..report import Answer, capital, picture

    baseline = explain.mean_of(fitted.examples)
    base = np.asarray(baseline.value)
    # every look at a target that is encoded by least squares is a fit
    slow = find_equation(fitted.model) is not fitted.model
    orders = options.orders or (_FEW_ORDERS if slow else _ORDERS)
    name = options.method
    method = _method(name)
    if name in _FROM_BASELINE:
        method = partial(method, baseline=base)
    if name in _FILLING:
        method = partial(method, fill=baseline)
    with progress(options, f"explaining {target.name} by {name}"):
        trust = explain.trusted(
            method, target, x, conditions=conditions, fill=baseline, baseline=base,
            orders=orders, seed=options.seed, quiet=is_silent(options),
        )  # fmt: skip
    found = trust.attribution
    kind = "contribution to" if found.contributions else "slope of"
    label = f"{kind} {target.name}" + (f" ({target.unit})" if target.unit else "")
    figure = plots.attribution(x[0], found.values[0], fitted.schema, label=label)
    file = save_figure(figure, path, options)
    deletion, insertion = (
        {"area": order.area, "random": order.random.tolist(), "beaten": order.beaten}
        for order in (trust.orders.deletion, trust.orders.insertion)
    )
    result = {
        "run": str(fitted.folder), "target": target.name, "unit": target.unit, "method": name,
        "row": options.row, "value": float(found.output[0]),
        "values": found.values[0].tolist(), "contributions": found.contributions,
        "evaluations": found.evaluations, "completeness": float(trust.completeness[0]),
        "deletion": deletion, "insertion": insertion,
        "redrawn": {"rank": trust.redrawn.rank.tolist(), "area": trust.redrawn.area.tolist()},
        "spread": trust.spread, "saturated": bool(trust.saturated[0]),
        "sentence": trust.sentence(), "output": file,
    }  # fmt: skip
    unit = f" {target.unit}" if target.unit else ""
    said = [
        f"{target.name} = {result['value']:.4g}{unit} of example {options.row}, by "
        f"{found.method}: {_where(found.values[0], fitted)}",
        trust.sentence(),
    ]  # fmt: skip
    below = "; the grey area below shows the same" if fitted.schema.is_series else ""
    answer = Answer(
        "explain",
        f"What does {target.name} of example {options.row} come from, by {found.method}?",
        (said[0], capital(said[1])),
        {"target": target.name, "method": name, "row": options.row, "orders": orders,
         "seed": options.seed},
        _doubts(trust), _rows(trust, number(result["value"], target.unit)),
        (picture(fitted, figure, f"{capital(label)}: blue lowers it, orange raises it{below}.",
                 _columns(x[0], found.values[0], fitted)),),
        (name, "order", *(["redrawn"] if len(trust.redrawn.rank) else [])),
    )  # fmt: skip
    return answered(result, [*said, *figure_lines(file)], [(fitted, answer)], options)


def _rows(trust: "Trust", value: str) -> tuple[tuple[str, ...], ...]:
    """The numbers of an attribution, each with what it is compared with."""
    rows = [(trust.attribution.target, value, "", "1", "the number explained")]
    if np.isfinite(trust.completeness[0]):
        error = share(float(trust.completeness[0]))
        rows.append(("completeness error", error, "", "1", "contributions against their sum"))
    for name, order in (
        ("deletion, area", trust.orders.deletion), ("insertion, area", trust.orders.insertion)
    ):  # fmt: skip
        middle, spread = number(order.random.mean(), digits=3), number(order.random.std(), digits=2)
        n = f"{len(order.random)}"
        beats = f"better than {100 * order.beaten:.0f} % of them"
        rows.append((name, number(order.area, digits=3), "", "1", beats))
        rows.append(("… of random orders", middle, f"± {spread}", n, "the comparison"))
    redrawn = trust.redrawn
    for name, values, check in (
        ("rank correlation, redrawn weights", redrawn.rank, "near 0: it shows what was learned"),
        ("deletion, area, redrawn weights", redrawn.area, "no better than random orders"),
    ):
        if len(values):
            ends = f"{number(values.min(), digits=3)} to {number(values.max(), digits=3)}"
            middle = number(float(np.median(values)), digits=3)
            rows.append((name, middle, ends, f"{len(values)}", check))
    if trust.attribution.drawn:
        rows.append(("spread over keys", share(trust.spread), "", f"{trust.keys}", "draws"))
    return tuple(rows)


def _doubts(trust: "Trust") -> tuple[str, ...]:
    """What speaks against the attribution."""
    doubts = []
    if trust.saturated.any():
        doubts.append("The gradient has vanished at this observation: slopes say nothing here.")
    order = trust.orders.deletion
    if order.beaten < _BEATEN:
        doubts.append(
            f"Its order deletes better than only {100 * order.beaten:.0f} % of random orders: it "
            "does not tell what the number rests on."
        )
    if len(trust.redrawn.rank) and np.median(trust.redrawn.rank) > _ALIKE:
        doubts.append(
            "With redrawn weights it ranks the entries in much the same way: it shows the input "
            "more than what was learned."
        )
    return tuple(doubts)


def _columns(x: np.ndarray, values: np.ndarray, fitted: Run) -> dict[str, Any]:
    """The numbers behind the figure: of a series a row for each time, else one for each entry."""
    schema = fitted.schema
    if schema.is_series:
        times = schema.times
        columns: dict[str, Any] = {schema.axes[0]: np.asarray(times)}
        for c, name in enumerate(schema.channels):
            columns |= {name: x[:, c], f"{name}, attribution": values[:, c]}
        return columns
    places = dict(zip(schema.axes, np.indices(x.shape).reshape(x.ndim, -1), strict=True))
    return {**places, "value": x.ravel(), "attribution": values.ravel()}


def _where(values: np.ndarray, fitted: Run) -> str:
    """Where the most telling tenth of the entries lie."""
    size, schema = np.abs(values), fitted.schema
    total = size.sum()
    if not total > 0:
        return "no entry has anything to do with it."
    order = np.argsort(-size.ravel(), kind="stable")
    most = order[: max(1, size.size // 10)]
    share = size.ravel()[most].sum() / total
    text = f"a tenth of the entries carries {100 * share:.0f} % of it"
    first = np.unravel_index(order[0], size.shape)
    if schema.is_series:
        unit = f" {schema.time_unit}" if schema.time_unit else ""
        return (
            f"{text}, most at {schema.times[int(first[0])]:.4g}{unit} of "
            f"{schema.channels[int(first[-1])]}."
        )
    return f"{text}, most at {', '.join(str(int(i)) for i in first)}."


def _sensitivity(
    fitted: Run, word: str, target: Any, options: argparse.Namespace, path: Path, x: np.ndarray,
    conditions: Any,
) -> Result:  # fmt: skip
    from .. import explain, plots  # Matplotlib is only loaded where something is drawn
    from ..report import Answer, capital, picture

    model = fitted.model
    row = jax.tree.map(lambda part: part[0], conditions)
    z = None
    if isinstance(model, AbstractEncoder):
        z = show.codes(model, x, conditions=conditions)[0]
    found = explain.sensitivity(model, z, condition=row)
    place = tuple(int(part) for part in word.partition(":")[2].split(","))
    value = found.output[place]
    at = dict(zip(found.names, found.scaled[(slice(None), *place)].tolist(), strict=True))
    slopes = dict(zip(found.names, found.slopes[(slice(None), *place)].tolist(), strict=True))
    schema = fitted.schema
    unit = schema.units[place[-1]]
    label = f"change of {schema.channels[place[-1]]} for one spread of the latent"
    file, pictures, asked = None, (), target.name
    if schema.is_series:
        times = np.asarray(schema.times)
        time_label = f"time ({schema.time_unit})" if schema.time_unit else "time"
        moved = found.scaled[..., place[-1]]
        figure = plots.sensitivities(
            times, moved, names=found.names, time_label=time_label,
            label=f"{label} ({unit})" if unit else label, at=float(times[place[0]]),
        )  # fmt: skip
        asked = f"{schema.channels[place[-1]]} at {times[place[0]]:.4g} {schema.time_unit}".rstrip()
        file = save_figure(figure, path, options)
        columns = {time_label: times, **dict(zip(found.names, moved, strict=True))}
        pictures = (picture(fitted, figure, f"{capital(label)}, dotted at what was asked.",
                            columns),)  # fmt: skip
    most = sorted(at.items(), key=lambda pair: -abs(pair[1]))
    listed = ", ".join(f"{name} {value:+.3g}" for name, value in most[:4])
    at_row = f"{value:.4g} {unit}".rstrip() + f" of example {options.row}"
    said = [f"{target.name} = {at_row}; for one spread of a latent it changes by: {listed}"]
    terms = _terms(model, found.z, row)
    result = {
        "run": str(fitted.folder), "target": target.name, "row": options.row,
        "value": float(value), "latents": dict(zip(found.names, found.z.tolist(), strict=True)),
        "slopes": slopes, "scaled": at, "terms": terms, "output": file,
    }  # fmt: skip
    said += [f"{term['state']}: {term['term']} does {100 * term['share']:.0f} % of what happens"
             for term in terms or ()]  # fmt: skip
    rows = [(f"{asked}, by {name}", number(moves, unit, 3), "", "1",
             f"slope {number(slopes[name], digits=3)}, exact") for name, moves in most]  # fmt: skip
    answer = Answer(
        "explain", f"What does {asked} of example {options.row} depend on?",
        tuple(said), {"target": target.name, "row": options.row}, (), tuple(rows),
        pictures, ("sensitivity",),
    )  # fmt: skip
    return answered(result, [*said, *figure_lines(file)], [(fitted, answer)], options)


def _terms(model: Any, z: np.ndarray, condition: Any) -> list[dict[str, Any]] | None:
    """What share of all that happens to its state each term of an equation's text does."""
    from ..equations import Equation, find_equation, formula_of, terms_along

    equation = find_equation(model)
    formula = formula_of(equation.system) if isinstance(equation, Equation) else None
    if formula is None or formula.events:
        return None
    assert isinstance(equation, Equation)
    terms = terms_along(equation, z, condition)
    named = zip(terms.states, terms.terms, terms.shares().tolist(), strict=True)
    return [{"state": state, "term": term, "share": share} for state, term, share in named]


def _method(name: str) -> Callable:
    """The way to explain that a word of the command line stands for."""
    from .. import explain

    return {
        "integrated-gradients": explain.integrated_gradients,
        "gradient-times-input": explain.gradient_times_input,
        "saliency": explain.saliency,
        "smooth-grad": explain.smooth_grad,
        "occlusion": explain.occlusion,
        "lime": explain.lime,
        "grad-cam": explain.grad_cam,
    }[name]
