"""`unweave analyse` and `unweave roots`: how an equation behaves, and where a formula is zero."""

import argparse
import sys
from os.path import isdir
from pathlib import Path
from typing import Any

import numpy as np

from ..run import load_run
from ._output import Result, check_free
from ._simulate import given_values, read_system

_DRAWS = 200


def analyse_verb(options: argparse.Namespace) -> Result:
    """Equilibria, stability, phase portrait and basins of an equation, or of a fitted one."""
    from ..equations import analyse  # and with it SymPy and diffrax

    system, z, draws, until, folder = _subject(options)
    for name, value in given_values(system.latents, options.set or []).items():
        z[system.latents.index(name)] = value
        if draws is not None:
            draws[:, system.latents.index(name)] = value
    output = _figure_path(options, folder)
    found = analyse(
        system, z, box=_box(options.box or []), until=options.until or until,
        along=None if options.along is None else _along(options.along),
        chaos=options.lyapunov, draws=draws,
        say=_silent if options.json or options.quiet else _tell,
    )  # fmt: skip
    figures = _figures(found, system, options)
    result: dict[str, Any] = {
        "latents": dict(zip(system.latents.names, found.z.tolist(), strict=True)),
        "box": [found.low.tolist(), found.high.tolist()],
        "equilibria": [
            {
                "x": e.x.tolist(), "kind": e.kind, "tolerance": e.tolerance,
                "eigenvalues": [[v.real, v.imag] for v in e.eigenvalues.tolist()],
            }
            for e in found.equilibria
        ],
        "sentences": list(found.sentences),
        "survival": None if found.survival is None else found.survival.probabilities,
    }  # fmt: skip
    result |= _written(figures, output, found, system, options)
    at = ", ".join(f"{n} = {v:.4g}" for n, v in result["latents"].items())
    lines = [f"at {at}", *found.sentences]
    lines += [f"{kind}: {result[kind]}" for kind in ("figures", "article") if result.get(kind)]
    return result, "\n".join(lines)


def roots_verb(options: argparse.Namespace) -> Result:
    """All real roots of a formula on an interval."""
    from ..equations import formula, roots

    low, high = options.between
    function, name = formula(options.formula)
    found = roots(function, low, high)
    result = {
        "formula": options.formula,
        "between": [low, high],
        "roots": found.x.tolist(),
        "multiplicity": found.multiplicity.tolist(),
        "residual": found.residual.tolist(),
        "poles": found.poles.tolist(),
        "complete": found.complete,
        "notes": list(found.notes),
    }
    lines = [
        f"{name} = {x:.15g}" + (f"   (multiplicity {m})" if m > 1 else "")
        for x, m in zip(found.x.tolist(), found.multiplicity.tolist(), strict=True)
    ]
    if not lines:
        lines = [f"no real root between {low:g} and {high:g}"]
    return result, "\n".join([*lines, *found.notes])


def _subject(options: argparse.Namespace):
    """The system, its latents, draws of them where it was fitted, a length of time, a folder."""
    from ..equations import Equation, centre_of, draws_of, find_equation

    if isdir(options.source):
        from ..hybrid import latent_system
        from ..networks import LatentODE

        fitted = load_run(options.source)
        model = find_equation(fitted.model)
        if isinstance(model, LatentODE):
            system = latent_system(model)
            length = float(model.times[-1] - model.times[0])
            return system, np.array(centre_of(system.latents)), None, 4 * length, fitted.folder
        if not isinstance(model, Equation):
            raise ValueError(
                f"the run in {options.source} fitted {fitted.result['recipe']}, which is no "
                "ordinary equation; analyse takes the run of an equation, a hybrid or a latent "
                "ODE, FILE.ode or zoo:NAME."
            )
        draws = np.array(draws_of(model.latents, _DRAWS))
        length = float(model.times[-1] - model.times[0])
        return model.system, np.array(centre_of(model.latents)), draws, 4 * length, fitted.folder
    system = read_system(options.source)
    return system, np.array(centre_of(system.latents)), None, 100.0, None


def _box(words: list[str]) -> dict[str, tuple[float, float]]:
    """What `--box x=0:250` says."""
    box = {}
    for word in words:
        name, equals, ends = word.partition("=")
        if not equals:
            raise ValueError(f"'{word}' is no range of a state; write --box x=0:250.")
        box[name.strip()] = _interval(ends, word)
    return box


def _along(word: str) -> tuple[str, float, float]:
    name, equals, ends = word.partition("=")
    if not equals:
        raise ValueError(f"'{word}' follows no latent; write --along r=0:4.")
    return (name.strip(), *_interval(ends, word))


def _interval(ends: str, word: str) -> tuple[float, float]:
    low, colon, high = ends.partition(":")
    try:
        interval = float(low), float(high)
    except ValueError:
        interval = (np.nan, np.nan)
    if not colon or not interval[0] < interval[1]:
        raise ValueError(f"'{word}' holds no interval; write its ends as 0:250, the lower first.")
    return interval


def _figure_path(options: argparse.Namespace, folder: Path | None) -> Path:
    from ..equations import source_name

    if options.output is not None:
        path = Path(options.output)
        check_free(path, force=options.force)
        return path
    if folder is not None:
        return folder / "phase.svg"
    return Path(Path(source_name(options.source).replace(":", "-")).stem + "-phase.svg")


def _figures(found, system, options: argparse.Namespace) -> dict[str, Any]:
    from .. import plots  # Matplotlib is only loaded where something is drawn

    names = [v.name for v in system.states]
    drawn: dict[str, Any] = {}
    if found.portrait is not None:
        units = [v.unit for v in system.states]
        drawn["Phase portrait"] = plots.phase_portrait(
            found.portrait, names=names, units=units, basins=found.basins
        )
    if found.branches is not None and found.branches.branches:
        name = options.along.partition("=")[0].strip()
        unit = system.latents.units[system.latents.index(name)]
        drawn["Bifurcation"] = plots.bifurcation(
            found.branches, names=names, parameter=name, unit=unit
        )
    return drawn


def _written(
    figures: dict[str, Any], output: Path, found, system, options: argparse.Namespace
) -> dict[str, Any]:
    from .. import plots
    from ..equations import formula_of, source_name

    formula = formula_of(system)
    written: dict[str, Any] = {"figures": []}
    for place, figure in enumerate(figures.values()):
        path = output if place == 0 else output.with_stem(output.stem + "-along")
        written["figures"].append(str(plots.save(figure, path)))
    if options.latex is not None:
        from ..report import write_analysis

        names = [v.name for v in system.states]
        rows = [
            (", ".join(f"{n} = {v:.4g}" for n, v in zip(names, e.x, strict=True)), e.kind,
             e.eigenvalues.tolist())
            for e in found.equilibria
        ]  # fmt: skip
        written["article"] = str(write_analysis(
            Path(options.latex), title=f"Analysis of {source_name(options.source)}",
            latex="" if formula is None else formula.latex(),
            text="" if formula is None else formula.pretty(), equilibria=rows, figures=figures,
            sentences=found.sentences,
        ))  # fmt: skip
    return written


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _silent(sentence: str) -> None:
    return
