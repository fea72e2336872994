"""`unweave compare`: recipes as they are written on the command line, and the card they make."""

import argparse
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._model import AbstractDecoder
from ..card import ROWS, compare, rows_named, table, write_card, write_card_article
from ..data import Dataset, Split
from ..recipes import OF_COURSES, OF_TEXT, RECIPES
from ..run import Run, load_run
from ..sources import Source, for_courses, read_source, split_source
from ..spread import HERE, OnRay, Place, Processes
from ..train import Recipe
from ._fit import given_source
from ._options import add_options, given_options, make_recipe
from ._output import Result

_EQUATION = "equation"


def compare_verb(options: argparse.Namespace) -> Result:
    """Fits what was named, writes the card, and says what it says."""
    recipes = read_recipes(options.recipes)
    rows = ROWS if options.rows is None else rows_named(options.rows.split(","))
    source = Source.from_settings(given_source(options))
    if any(_parts(word)[0] in OF_COURSES for word in options.recipes):
        source = for_courses(source)
    observations = read_source(source)
    stem = Path(source.paths[0]).name.split(".")[0].replace(":", "-") or "data"
    out = Path(options.out or Path("runs") / f"compare-{stem}")
    there = replace(source, paths=(options.elsewhere,)) if options.elsewhere else None
    card = compare(
        _split_of(source, observations),
        recipes,
        seeds=options.seeds,
        out=out,
        rows=rows,
        shares=options.shares,
        elsewhere=None if there is None else _split_of(there, read_source(there)),
        name=Path(source.paths[0]).name,
        on=_place(options),
        quiet=options.quiet or options.json,
    )
    page = write_card(card, out)
    result: dict[str, Any] = {**card.to_dict(), "output": str(out), "page": str(page)}
    text = f"{table(card)}\n\ncard: {page}"
    if options.latex is not None:
        result["article"] = str(write_card_article(card, options.latex))
        text += f"\narticle: {result['article']}"
    if any(explorable(result, out)):
        result["explore"] = f"unweave explore {shlex.quote(str(out))}"
        text += f"\nturn the latents of its models: {result['explore']}"
    return result, text


def explorable(card: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, Run]]:
    """The recipes of a card (see `Card.to_dict`) in `folder` that have latents to turn, by name,
    each as it was fitted to all training data with seed 0."""
    for name, path in card["runs"].items():
        if name in card["baselines"]:
            continue
        run = load_run(folder / path)
        if isinstance(run.model, AbstractDecoder) and run.model.latents.size:
            yield name, run


def _place(options: argparse.Namespace) -> Place:
    """Where the fits run."""
    if options.on is not None:
        return OnRay(options.workers, None if options.on == "ray" else options.on)
    workers = 1 if options.workers is None else options.workers
    return HERE if workers == 1 else Processes(workers)


def _split_of(source: Source, observations: Dataset) -> Callable[[int], Split]:
    return lambda seed: split_source(source, observations, seed=seed)


def read_recipes(words: list[str]) -> dict[str, Recipe]:
    """The recipes by the words that name them.

    A word is the name of a recipe, the path of an equation (`FILE.ode`) or one of the zoo's
    (`zoo:NAME`), and may be followed by a colon and options: `beta-vae:latents=5,epochs=20`.
    Before an equation may stand what is made of it: `hybrid:FILE.ode`.

    **Raises:** `ValueError` for a word that is none of these, and for one given twice.
    """
    recipes: dict[str, Recipe] = {}
    for word in words:
        if word in recipes:
            raise ValueError(f"'{word}' is given twice; each recipe is compared once.")
        name, source, options = _parts(word)
        if name not in RECIPES:
            raise ValueError(
                f"'{word}' is no recipe; give a file that ends in .ode, zoo:NAME, or one of "
                f"{', '.join(RECIPES)}."
            )
        given = _typed(name, options, word)
        if source is None:
            recipes[word] = make_recipe(name, given)
        else:
            recipes[word] = RECIPES[name](source, **given)
    return recipes


def _parts(word: str) -> tuple[str, str | None, str]:
    """The recipe's name, the equation's source where it is one, and the options as text."""
    made = next((name for name in OF_TEXT if word.startswith(f"{name}:")), _EQUATION)
    source = word.removeprefix(f"{made}:")
    head, zoo, rest = source.partition("zoo:")
    if zoo and not head:
        name, _, options = rest.partition(":")
        return made, f"zoo:{name}", options
    path, ode, rest = source.partition(".ode")
    if ode and rest[:1] in ("", ":"):
        return made, f"{path}.ode", rest[1:]
    name, _, options = word.partition(":")
    return name, None, options


def _typed(name: str, text: str, word: str) -> dict[str, Any]:
    """The options with the types of the recipe's arguments; a list is joined by commas too."""
    pairs: list[str] = []
    for part in text.split(",") if text else []:
        if "=" in part:
            pairs.append(part)
        elif pairs:
            pairs[-1] += f",{part}"
        else:
            raise ValueError(
                f"'{part}' of '{word}' is no option; write them as {name}:latents=5,epochs=20."
            )
    parser = _Options(word)
    add_options(parser, name)
    return given_options(name, parser.parse_args([_flag(pair) for pair in pairs]))


def _flag(pair: str) -> str:
    key, _, value = pair.partition("=")
    flag = key.strip().replace("_", "-")
    if value in ("true", "false"):
        return f"--{flag}" if value == "true" else f"--no-{flag}"
    return f"--{flag}={value.strip()}"


class _Options(argparse.ArgumentParser):
    """argparse whose errors name the word that they are about."""

    def __init__(self, word: str):
        super().__init__(add_help=False, allow_abbrev=False)
        self._word = word

    def error(self, message: str) -> Any:
        """One sentence."""
        raise ValueError(f"in '{self._word}': {message}; see: unweave recipes")
