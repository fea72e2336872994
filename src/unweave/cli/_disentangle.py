"""`unweave disentangle` and `unweave dictionary`: which latent stands for what."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import show
from .._model import AbstractDecoder, require
from ..data import Dataset
from ..run import Run, load_run
from ..sources import Source, read_some, read_source
from ._keep import answered, figure_lines, figure_path, number, save_figure
from ._output import Result
from ._progress import is_silent, progress

if TYPE_CHECKING:
    from ..evaluate import Dictionary, DisentanglementScore
    from ..report import Answer, Picture

# observations that scores are made of, at even steps, where there are more
_MOST = 2000


@dataclass(frozen=True, eq=False)
class _Judged:
    """What is said of one run: its entry in the result, sentences, table and figure."""

    entry: dict[str, Any]
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: tuple["Picture", ...] = ()


def disentangle_verb(options: argparse.Namespace) -> Result:
    """Scores of a run's latents against known factors; of several runs their likeness too."""
    runs = [load_run(path) for path in options.runs]
    for fitted in runs:
        require(fitted.model, "encoder", tool="disentangle")
    with progress(options, f"reading the data of {runs[0].folder}") as say:
        data = _observations(runs[0], options.factors)
        codes = [_codes(fitted, data) for fitted in runs]
        factors, names = _factors(data, required=len(runs) == 1)
        result: dict[str, Any] = {"n": len(data), "factors": list(names), "runs": []}
        lines: list[str] = []
        judged = []
        for place, (fitted, z) in enumerate(zip(runs, codes, strict=True)):
            one = _Judged({"run": str(fitted.folder), "latents": _latent_names(fitted, z)})
            if factors is not None:
                say(f"scoring {fitted.folder}")
                one = _judge(one, fitted, z, factors, names, options, place)
                lines.append(f"{fitted.folder}")
                lines += [
                    f"  {line}" for line in (*one.lines, *figure_lines(one.entry.get("figure")))
                ]
            result["runs"].append(one.entry)
            judged.append(one)
        alike: list[str] = []
        if len(runs) > 1:
            say("comparing the fits")
            alike = _alike(codes, options, result)
    answers = [(fitted, _answer(one, data, names, alike, result, options, runs))
               for fitted, one in zip(runs, judged, strict=True)]  # fmt: skip
    return answered(result, [*lines, *alike], answers, options)


def _judge(
    one: _Judged, fitted: Run, z: np.ndarray, factors: np.ndarray, names: tuple[str, ...],
    options: argparse.Namespace, place: int,
) -> _Judged:  # fmt: skip
    """The scores of one run, and the figure of which latent is important for which factor."""
    from .. import plots
    from ..evaluate import dci, infomec, mig, modularity, sap
    from ..report import picture

    entry: dict[str, Any] = {**one.entry}
    quick = {"permutations": options.permutations, "seed": options.seed,
             "quiet": is_silent(options)}  # fmt: skip
    scores = [mig(z, factors, **quick), sap(z, factors, **quick)]
    pictures = ()
    if factors.shape[1] > 1:
        made = infomec(z, factors, active=_all_if_of_units(fitted, z), **quick)
        # a forest for every factor: fewer permutations, as said beside the score
        fewer = {**quick, "permutations": min(options.permutations, 2)}
        parted = dci(z, factors, **fewer)
        scores += [modularity(z, factors, **quick), parted.disentanglement]
        scores += [parted.completeness, parted.informativeness]
        scores += [made.modularity, made.compactness, made.explicitness]
        entry["information"] = made.information.tolist()
        entry["importance"] = parted.importance.tolist()
        path = figure_path(options, fitted, "disentanglement.svg", place)
        title = "Share of each factor's importance (DCI)"
        figure = plots.shares(parted.importance, rows=entry["latents"], columns=names, title=title)
        file = save_figure(figure, path, options)
        entry |= {} if file is None else {"figure": file}
        columns = {"latent": entry["latents"],
                   **dict(zip(names, parted.importance.T, strict=True))}  # fmt: skip
        label = "Each column sums to one; where a latent stands for a factor, it has most of it."
        pictures = (picture(fitted, figure, label, columns),)
    entry["scores"] = [_score(s) for s in scores]
    return _Judged(entry, tuple(s.sentence for s in scores), tuple(map(_row, scores)), pictures)


def _row(score: "DisentanglementScore") -> tuple[str, ...]:
    ends = " to ".join(f"{end:.3f}" for end in (score.each.min(), score.each.max()))
    check = score.estimator
    if score.permutations:
        check = f"unrelated codes {score.null:.3f}, one of twenty {score.null_high:.3f}; {check}"
    return (score.name, f"{score.value:.3f}", ends, f"{score.n:,}", check)


def _alike(
    codes: list[np.ndarray], options: argparse.Namespace, result: dict[str, Any]
) -> list[str]:
    """How alike the latents of several fits are, in a sentence and into the result."""
    from ..evaluate import udr

    alike = udr(codes, permutations=options.permutations, seed=options.seed)
    result["udr"] = {
        "value": alike.value, "each": alike.each.tolist(), "null": alike.null,
        "null_high": alike.null_high, "estimator": alike.estimator, "n": alike.n,
    }  # fmt: skip
    return [alike.sentence]


def _answer(
    one: _Judged, data: Dataset, names: tuple[str, ...], alike: list[str],
    result: dict[str, Any], options: argparse.Namespace, runs: list[Run],
) -> "Answer":  # fmt: skip
    """What is kept with one of the runs."""
    from ..report import Answer

    rows, methods = list(one.rows), ["MIG", "SAP", "neighbour-information"] if one.rows else []
    if one.pictures:
        methods[2:2] = ["modularity", "DCI", "InfoMEC"]
    if alike:
        told = result["udr"]
        ends = f"{min(told['each']):.3f} to {max(told['each']):.3f}"
        rows.append(
            (
                "UDR",
                number(told["value"], digits=3),
                ends,
                f"{told['n']:,}",
                f"unrelated codes {told['null']:.3f}; {len(runs)} fits, {told['estimator']}",
            )
        )
        methods.append("UDR")
    question = "Which latent stands for which factor?" if one.rows else (
        f"Do {len(runs)} fits find the same latents?")  # fmt: skip
    asked = {"runs": [run.result.get("model_hash", "") for run in runs], "n": len(data),
             "factors": list(names), "table": options.factors,
             "permutations": options.permutations, "seed": options.seed}  # fmt: skip
    return Answer("disentangle", question, (*one.lines, *alike), asked, (), tuple(rows),
                  one.pictures, tuple(methods))  # fmt: skip


def dictionary_verb(options: argparse.Namespace) -> Result:
    """Which latents of a network carry which parameter of a fitted equation."""
    from .. import plots
    from ..evaluate import alternate, dictionary
    from ..report import Answer, picture

    equation, network = load_run(options.equation), load_run(options.network)
    for fitted in (equation, network):
        require(fitted.model, "encoder", tool="dictionary")
    if equation.result["recipe"] not in ("equation", "hybrid"):
        raise ValueError(
            f"the run in {options.equation} fitted {equation.result['recipe']}, which is no "
            "equation; give first the run of an equation, then that of a network: unweave "
            "dictionary RUN_EQUATION RUN_NETWORK"
        )
    with progress(options, f"reading the data of {network.folder}") as say:
        data = _observations(network, None).thinned(options.most)
        say("latents of each observation, and parameters, by least squares")
        parameters, latents = _codes(equation, data), _codes(network, data)
        say("parameters of each half of each observation")
        halves = tuple(
            show.codes(equation.model, x, conditions=data.conditions)
            for x in alternate(data.observations)
        )
        kept = np.isfinite(parameters).all(1) & np.isfinite(latents).all(1)
        kept &= np.isfinite(halves[0]).all(1) & np.isfinite(halves[1]).all(1)
        names = _latent_names(equation, parameters)
        say("predicting one from the other")
        made = dictionary(
            parameters[kept], latents[kept], names=names,
            latent_names=_latent_names(network, latents),
            halves=(halves[0][kept], halves[1][kept]), determined=_determined(equation, names),
            groups=data.groups[kept] if options.across else None, seed=options.seed,
            quiet=is_silent(options),
        )  # fmt: skip
    path = figure_path(options, network, "dictionary.svg")
    columns = [f"{n} ({c:.2f})" for n, c in zip(made.parameters, made.ceiling, strict=True)]
    title = "Held-out R² of each parameter (its ceiling) from each latent alone"
    figure = plots.shares(made.alone, rows=made.latents, columns=columns, title=title)
    file = save_figure(figure, path, options)
    result = {
        "equation": str(equation.folder), "network": str(network.folder), "n": made.n,
        "parameters": list(made.parameters), "latents": list(made.latents),
        "alone": made.alone.tolist(), "together": made.together.tolist(),
        "back_alone": made.back_alone.tolist(), "back": made.back.tolist(),
        "ceiling": made.ceiling.tolist(), "directions": made.directions.tolist(),
        "used": made.used.tolist(), "null": made.null, "estimator": made.estimator,
        "figure": file, "left_out_rows": int((~kept).sum()),
    }  # fmt: skip
    back = [
        f"{name}: R² {value:.2f} from the equation's parameters"
        for name, value in zip(made.latents, made.back, strict=True)
    ]
    head = f"{made.n} observations, {made.estimator}; unrelated pairs reach R² {made.null:.2f}"
    said = [head, *made.sentences, *back]
    lost = int((~kept).sum())
    warnings = (f"{lost:,} observations that could not be fitted are left out.",) if lost else ()
    numbers = {"latent": list(made.latents), **dict(zip(names, made.alone.T, strict=True))}
    asked = {"equation": equation.result.get("model_hash", ""),
             "network": network.result.get("model_hash", ""), "across": options.across,
             "most": options.most, "seed": options.seed}  # fmt: skip
    answers = [
        (fitted, Answer("dictionary", f"Which latents of {_name(network)} carry which parameter of "
                        f"{_name(equation)}?", tuple(said), asked, warnings, _rows(made),
                        (picture(fitted, figure, f"{title}.", numbers),), ("reliability",)))
        for fitted in (network, equation)
    ]  # fmt: skip
    return answered(result, [*said, *figure_lines(file)], answers, options)


def _name(fitted: Run) -> str:
    """What a run is called: its folder, without where that is."""
    assert fitted.folder is not None
    return fitted.folder.resolve().name


def _rows(made: "Dictionary") -> tuple[tuple[str, ...], ...]:
    """What is known of each parameter, and back of each latent."""
    n, rows = f"{made.n:,}", []
    for j, name in enumerate(made.parameters):
        ceiling = number(float(made.ceiling[j]), digits=2)
        carried = made.carriers.get(name)
        by = f"{carried[0]} alone {carried[1]:.2f}" if carried else "no latent alone"
        check = f"ceiling {ceiling or 'not known'}; {by}"
        rows.append((f"R² of {name} from all latents", number(float(made.together[j]), digits=2),
                     "", n, check if made.used[j] else "left out: not determined"))  # fmt: skip
    for name, value in zip(made.latents, made.back, strict=True):
        rows.append((f"R² of {name} from the parameters", number(float(value), digits=2), "", n,
                     f"unrelated pairs {made.null:.2f}"))  # fmt: skip
    return tuple(rows)


def _observations(fitted: Run, table: str | None) -> Dataset:
    """What the run was fitted to, read again, at most so many; with the factors of a table."""
    source = Source.from_settings(dict(fitted.settings["data"]))
    if table is None:
        return read_some(source, _MOST)
    data = read_source(source)
    import pandas as pd  # a quarter of a second that most verbs need not wait for

    with Path(table).open() as file:
        header = file.readline()
    # guessed among the usual ones: a table of one column has none of them
    separator = max(",;\t", key=header.count)
    columns = pd.read_csv(table, sep=separator).select_dtypes("number")
    if len(columns) != len(data):
        raise ValueError(
            f"{table} has {len(columns)} rows for {len(data)} observations; give one row for each, "
            "in the order in which unweave encode writes them."
        )
    factors, names = columns.to_numpy(np.float64), tuple(map(str, columns.columns))
    return replace(data, factors=factors, factor_names=names).thinned(_MOST)


def _factors(data: Dataset, *, required: bool) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The known factors that change, or else the labels as one factor; None without any."""
    if data.factors is not None:
        moving = np.flatnonzero(np.ptp(data.factors, axis=0) > 0)
        names = data.factor_names or tuple(f"factor {i + 1}" for i in range(data.factors.shape[1]))
        return data.factors[:, moving], tuple(names[i] for i in moving)
    if data.labels is not None and len(np.unique(data.labels)) > 1:
        return data.labels[:, None].astype(np.float64), ("label",)
    if required:
        raise ValueError(
            "nothing is known of what made these observations; give --factors TABLE with a column "
            "for each factor, or two or more runs that differ in their seeds."
        )
    return None, ()


def _codes(fitted: Run, data: Dataset) -> np.ndarray:
    if data.schema.shape != fitted.schema.shape:
        raise ValueError(
            f"the observations have shape {data.schema.shape}, and the model of {fitted.folder} "
            f"takes {fitted.schema.shape}; give runs that were fitted to the same data."
        )
    found = show.codes(fitted.model, data.observations, conditions=data.conditions)
    return found.reshape(len(found), -1).astype(np.float64)


def _all_if_of_units(fitted: Run, codes: np.ndarray) -> list[bool] | None:
    """Every latent that moves, where latents have units of their own and no common range."""
    model = fitted.model
    if isinstance(model, AbstractDecoder) and not model.latents.are_standard:
        return (np.ptp(codes, axis=0) > 0).tolist()
    return None


def _latent_names(fitted: Run, codes: np.ndarray) -> list[str]:
    model = fitted.model
    if isinstance(model, AbstractDecoder) and model.latents.size == codes.shape[1]:
        return list(model.latents.names)
    return [f"z{i + 1}" for i in range(codes.shape[1])]


def _determined(fitted: Run, names: list[str]) -> list[bool]:
    """Of each parameter whether the fit's own account says so, in most records that it had."""
    said: dict[str, list[bool]] = {name: [] for name in names}
    for row in fitted.result.get("equation", {}).get("latents", ()):
        if row["name"] in said:
            said[row["name"]].append(row["status"] != "undetermined")
    return [not told or float(np.mean(told)) > 0.5 for told in said.values()]


def _score(score: Any) -> dict[str, Any]:
    return {
        "name": score.name, "value": score.value, "each": score.each.tolist(),
        "estimator": score.estimator, "n": score.n, "null": score.null,
        "null_high": score.null_high, "permutations": score.permutations, "seed": score.seed,
    }  # fmt: skip
