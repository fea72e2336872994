"""The options of a recipe: one for every argument of its function, with its type and default."""

import argparse
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from .._noise import AbstractNoise
from ..recipes import NOISES, OF_TEXT, RECIPES
from ..train import Recipe
from ._output import Result


def make_recipe(name: str, options: Mapping[str, Any]) -> Recipe:
    """The recipe called `name` with options as the command line or `run.toml` gives them."""
    function, given = _function(name), dict(options)
    known = inspect.signature(function).parameters
    for option, value in given.items():
        if option not in known:
            raise ValueError(f"'{option}' is no option of {name}; it has {', '.join(known)}.")
        if isinstance(value, list):
            given[option] = tuple(value)
    noise = given.get("noise")
    if noise is not None and name not in OF_TEXT:
        if noise not in NOISES:
            raise ValueError(f"'{noise}' is no noise; there are {', '.join(NOISES)}.")
        given["noise"] = NOISES[noise]()
    return function(**given)


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Gives the parser an option for every argument of the recipe called `name`."""
    function = _function(name)
    kinds = typing.get_type_hints(function)
    group = parser.add_argument_group(f"options of {name}")
    for key, parameter in _parameters(function).items():
        default = _plain(parameter.default)
        help = "chosen by the data" if default is None else f"default {default}"
        flags = [f"--{_flag(key)}"]
        kind = _without_none(kinds[key])
        if kind is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(*flags, dest=key, action=action, default=None, help=help)
        elif kind is AbstractNoise:
            group.add_argument(*flags, dest=key, choices=tuple(NOISES), help=help)
        elif typing.get_origin(kind) is typing.Literal:
            group.add_argument(*flags, dest=key, choices=typing.get_args(kind), help=help)
        else:
            read = _list_of(kind) if typing.get_origin(kind) is tuple else kind
            group.add_argument(*flags, dest=key, type=read, help=help, metavar="")


def given_options(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The recipe's options that were given on the command line."""
    every = {key: getattr(options, key) for key in _parameters(_function(name))}
    return {key: value for key, value in every.items() if value is not None}


def options_of(name: str) -> str:
    """The help text of a recipe's own options."""
    parser = argparse.ArgumentParser(
        prog=f"unweave fit {name}",
        usage=argparse.SUPPRESS,
        description=" ".join((inspect.getdoc(_function(name)) or "").split()),
        add_help=False,
    )
    add_options(parser, name)
    return parser.format_help()


def describe_recipes() -> Result:
    """Every recipe with what it is and its defaults."""
    result, lines = {}, []
    for name, function in RECIPES.items():
        what = " ".join((inspect.getdoc(function) or "").split())
        defaults = {k: _plain(p.default) for k, p in _parameters(function).items()}
        result[name] = {"what": what, "options": defaults}
        options = " ".join(f"--{_flag(k)} {v}" for k, v in defaults.items() if v is not None)
        lines.append(f"{name}\n    {what}\n    {options}")
    return {"recipes": result}, "\n".join(lines)


def _function(name: str) -> Callable[..., Recipe]:
    if name not in RECIPES:
        raise ValueError(f"'{name}' is no recipe; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def _parameters(function: Callable[..., Recipe]) -> Mapping[str, inspect.Parameter]:
    """What may be changed: the arguments that have a default."""
    every = inspect.signature(function).parameters
    return {key: p for key, p in every.items() if p.default is not inspect.Parameter.empty}


def _without_none(kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        return next(k for k in typing.get_args(kind) if k is not types.NoneType)
    return kind


def _list_of(kind: Any) -> Callable[[str], tuple]:
    """How a list is read: words, or whole numbers."""
    return _words if typing.get_args(kind)[0] is str else _whole_numbers


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no list of whole numbers, such as 256,256"
        ) from None


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _plain(default: Any) -> Any:
    return ",".join(map(str, default)) if isinstance(default, tuple) else default
