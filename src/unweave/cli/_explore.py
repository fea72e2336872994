"""`unweave explore`: latents become sliders on a page of this machine."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..run import Run
from ._compare import explorable
from ._output import Result


def explore_verb(options: argparse.Namespace) -> Result:
    """Serves the page until Ctrl-C."""
    from ..explore import explorer, serve, warm
    from ..explore._serve import check_installed

    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port {options.port} is none; give a number up to 65535.")
    check_installed()
    _tell("reading the models …")
    sources, names = _sources(options.runs)
    explored = explorer(sources, data=options.data, names=names)
    _tell("compiling what a slider turns …")
    warm(explored)
    found: dict[str, str] = {}

    def say(address: str) -> None:
        found["address"] = address
        print(f"{address}\nThe page is on this machine alone; Ctrl-C ends it.", flush=True)

    serve(explored, port=options.port, browser=options.browser, say=say)
    names = ", ".join(subject.name for subject in explored.subjects.values())
    return {"models": names, **found}, f"The explorer of {names} has ended."


def _sources(words: Sequence[str]) -> tuple[list[str | Run], list[str | None]]:
    """What is to be explored, and the names of what a folder does not name: a comparison stands
    for those of its recipes that have latents."""
    sources: list[str | Run] = []
    names: list[str | None] = []
    for word in words:
        card = Path(word) / "card.json"
        if not card.is_file():
            sources, names = [*sources, word], [*names, None]
            continue
        found = dict(explorable(json.loads(card.read_text()), card.parent))
        if not found:
            raise ValueError(f"none of the recipes that {word} compares has latents to turn.")
        sources, names = [*sources, *found.values()], [*names, *found]
    return sources, names


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)
