"""`unweave discover`: from courses in time to the text of an equation."""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from .._files import write_whole
from ..sources import Source, read_source
from ._fit import given_source
from ._output import Result, check_free

# progress is said where a search takes longer than this
_PATIENCE = 2.0


def discover_verb(options: argparse.Namespace) -> Result:
    """Reads courses, finds an equation for them, and writes its text where that was asked for."""
    from ..equations import discover  # and with it SymPy

    output = None if options.output is None else Path(options.output)
    if output is not None:
        check_free(output, force=options.force)
        if output.suffix != ".ode":
            raise ValueError(
                f"{output} would not be read as an equation; name it {output.stem}.ode."
            )
    settings = {"kind": "trajectories"} | given_source(options)
    data = read_source(Source.from_settings(settings))
    found = discover(
        data, degree=options.degree, bags=options.bags, seed=options.seed,
        say=_patient(quiet=options.quiet or options.json),
    )  # fmt: skip
    result: dict[str, Any] = {
        "text": found.text,
        "lines": list(found.lines),
        "terms": [asdict(term) for term in found.terms],
        "r2": found.r2,
        "sentences": list(found.sentences),
        "runners_up": [
            {"lines": list(lines), "worse_by": worse} for lines, worse in found.runners_up
        ],
        "seconds": found.seconds,
    }
    lines = [*found.lines, ""]
    for term in found.terms:
        share = "" if math.isnan(term.inclusion) else f"  in {100 * term.inclusion:.0f} % of bags"
        ends = f"[{term.low:.4g}, {term.high:.4g}]"
        lines.append(
            f"{term.channel}'  {term.term:<24}{term.coefficient:>12.5g}  {ends:<24}{share}"
        )
    lines += ["", *found.sentences, f"in {found.seconds:.1f} s"]
    if output is None:
        lines += ["", found.text.rstrip()]
    else:
        write_whole(output, [found.text.encode()])
        result["output"] = str(output)
        lines.append(f"equation: {output}")
    return result, "\n".join(lines)


def _patient(*, quiet: bool) -> Callable[[str], None]:
    """Says progress once a search has taken long."""
    began = monotonic()

    def say(sentence: str) -> None:
        if not quiet and monotonic() - began > _PATIENCE:
            print(sentence, file=sys.stderr, flush=True)

    return say
