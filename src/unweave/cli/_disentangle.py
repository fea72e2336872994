"""`unweave disentangle` and `unweave dictionary`: which latent stands for what."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import show
from .._model import AbstractDecoder, require
from ..data import Dataset
from ..run import Run, load_run
from ..sources import Source, read_source
from ._output import Result, check_free

# observations that scores are made of, at even steps, where there are more
_MOST = 2000


def disentangle_verb(options: argparse.Namespace) -> Result:
    """Scores of a run's latents against known factors; of several runs their likeness too."""
    from .. import plots
    from ..evaluate import dci, infomec, mig, modularity, sap, udr

    runs = [load_run(path) for path in options.runs]
    for fitted in runs:
        require(fitted.model, "encoder", tool="disentangle")
    data = _observations(runs[0], options.factors)
    codes = [_codes(fitted, data) for fitted in runs]
    factors, names = _factors(data, required=len(runs) == 1)
    result: dict[str, Any] = {"n": len(data), "factors": list(names), "runs": []}
    lines: list[str] = []
    quick = {"permutations": options.permutations, "seed": options.seed}
    for place, (fitted, z) in enumerate(zip(runs, codes, strict=True)):
        entry: dict[str, Any] = {"run": str(fitted.folder), "latents": _latent_names(fitted, z)}
        if factors is not None:
            if not options.json:
                print(f"scoring {fitted.folder} …", file=sys.stderr)
            scores = [mig(z, factors, **quick), sap(z, factors, **quick)]
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
                path = _figure(options, fitted, "disentanglement.svg", place)
                figure = plots.shares(
                    parted.importance, rows=entry["latents"], columns=names,
                    title="Share of each factor's importance (DCI)",
                )  # fmt: skip
                entry["figure"] = str(plots.save(figure, path))
            entry["scores"] = [_score(s) for s in scores]
            lines.append(f"{fitted.folder}")
            lines += [f"  {score.sentence}" for score in scores]
            if "figure" in entry:
                lines.append(f"  figure: {entry['figure']}")
        result["runs"].append(entry)
    if len(runs) > 1:
        alike = udr(codes, **quick)
        result["udr"] = {
            "value": alike.value, "each": alike.each.tolist(), "null": alike.null,
            "null_high": alike.null_high, "estimator": alike.estimator, "n": alike.n,
        }  # fmt: skip
        lines.append(alike.sentence)
    return result, "\n".join(lines)


def dictionary_verb(options: argparse.Namespace) -> Result:
    """Which latents of a network carry which parameter of a fitted equation."""
    from .. import plots
    from ..evaluate import alternate, dictionary

    equation, network = load_run(options.equation), load_run(options.network)
    for fitted in (equation, network):
        require(fitted.model, "encoder", tool="dictionary")
    if equation.result["recipe"] not in ("equation", "hybrid"):
        raise ValueError(
            f"the run in {options.equation} fitted {equation.result['recipe']}, which is no "
            "equation; give first the run of an equation, then that of a network: unweave "
            "dictionary RUN_EQUATION RUN_NETWORK"
        )
    data = _observations(network, None).thinned(options.most)
    parameters, latents = _codes(equation, data), _codes(network, data)
    halves = tuple(
        show.codes(equation.model, x, conditions=data.conditions)
        for x in alternate(data.observations)
    )
    kept = np.isfinite(parameters).all(1) & np.isfinite(latents).all(1)
    kept &= np.isfinite(halves[0]).all(1) & np.isfinite(halves[1]).all(1)
    names = _latent_names(equation, parameters)
    made = dictionary(
        parameters[kept], latents[kept], names=names,
        latent_names=_latent_names(network, latents),
        halves=(halves[0][kept], halves[1][kept]), determined=_determined(equation, names),
        groups=data.groups[kept] if options.across else None, seed=options.seed,
    )  # fmt: skip
    path = _figure(options, network, "dictionary.svg")
    columns = [f"{n} ({c:.2f})" for n, c in zip(made.parameters, made.ceiling, strict=True)]
    figure = plots.shares(
        made.alone, rows=made.latents, columns=columns,
        title="Held-out R² of each parameter (its ceiling) from each latent alone",
    )  # fmt: skip
    result = {
        "equation": str(equation.folder), "network": str(network.folder), "n": made.n,
        "parameters": list(made.parameters), "latents": list(made.latents),
        "alone": made.alone.tolist(), "together": made.together.tolist(),
        "back_alone": made.back_alone.tolist(), "back": made.back.tolist(),
        "ceiling": made.ceiling.tolist(), "directions": made.directions.tolist(),
        "used": made.used.tolist(), "null": made.null, "estimator": made.estimator,
        "figure": str(plots.save(figure, path)), "left_out_rows": int((~kept).sum()),
    }  # fmt: skip
    back = [
        f"{name}: R² {value:.2f} from the equation's parameters"
        for name, value in zip(made.latents, made.back, strict=True)
    ]
    head = f"{made.n} observations, {made.estimator}; unrelated pairs reach R² {made.null:.2f}"
    return result, "\n".join([head, *made.sentences, *back, f"figure: {result['figure']}"])


def _observations(fitted: Run, table: str | None) -> Dataset:
    """What the run was fitted to, read again, at most so many; with the factors of a table."""
    data = read_source(Source.from_settings(dict(fitted.settings["data"])))
    if table is None:
        return data.thinned(_MOST)
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


def _figure(options: argparse.Namespace, fitted: Run, name: str, place: int = 0) -> Path:
    """In the run's folder, or the file that was named: of several runs with their numbers."""
    if options.output is None:
        assert fitted.folder is not None
        return fitted.folder / name
    path = Path(options.output)
    path = path.with_stem(f"{path.stem}-{place + 1}") if place else path
    check_free(path, force=options.force)
    return path
