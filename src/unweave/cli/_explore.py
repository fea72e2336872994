"""`unweave explore`: latents become sliders on a page of this machine."""

import argparse
import sys

from ._output import Result


def explore_verb(options: argparse.Namespace) -> Result:
    """Serves the page until Ctrl-C."""
    from ..explore import explorer, serve, warm
    from ..explore._serve import check_installed

    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port {options.port} is none; give a number up to 65535.")
    check_installed()
    _tell("reading the models …")
    explored = explorer(options.runs, data=options.data)
    _tell("compiling what a slider turns …")
    warm(explored)
    found: dict[str, str] = {}

    def say(address: str) -> None:
        found["address"] = address
        print(f"{address}\nThe page is on this machine alone; Ctrl-C ends it.", flush=True)

    serve(explored, port=options.port, browser=options.browser, say=say)
    names = ", ".join(subject.name for subject in explored.subjects.values())
    return {"models": names, **found}, f"The explorer of {names} has ended."


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)
