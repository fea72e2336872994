"""A predictor on the latents of a model that was fitted before."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import optax

from .. import train
from .._many import many, real
from .._model import AbstractEncoder, Key, require
from .._schema import Schema
from ..data import Dataset, Scale
from ..detect import latent_names
from ..networks import MLP
from ..networks.schemes import LatentNet, OnLatents
from ..train import Budget, Descend, Recipe, RunFolder, RunFolderError
from ._predict import predictor

# datasets whose latents are remembered
_REMEMBERED = 4


def on_latents(
    *,
    of: str | eqx.Module | None = None,
    widths: tuple[int, ...] = (),
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 3e-2,
    patience: int | None = None,
) -> Recipe:
    """A classifier, or a regressor where data have factors alone, that reads the latents of another
    model, which stays as it is: a straight line (a linear probe, Alain and Bengio 2017), or with
    `widths` hidden layers. `of` is a run's folder, or in Python a model that encodes; to measure it
    honestly take the run's own data and seed, so that neither saw the test part."""
    options: dict[str, Any] = locals().copy()
    options["of"] = of if of is None or isinstance(of, str) else type(of).__name__
    codes = _Codes(of)

    def net(data: Dataset, answers: int, key: Key) -> LatentNet:
        head = MLP(data.schema.size, answers, widths, key=key)
        return LatentNet(head, Scale.standard(data.observations, data.moments))

    base = predictor("on-latents", options, net)
    assert base.plan is not None
    rows = base.plan.rows

    def finish(model: Any, data: Dataset) -> eqx.Module:
        return eqx.tree_at(lambda m: m.net, model, OnLatents(codes.found[0], model.net))

    def stepper(budget: Budget) -> Descend:
        # no decay: few weights on few latents, which maximum likelihood alone shall choose
        rate = optax.cosine_decay_schedule(learning_rate, max(1, budget.steps))
        return Descend(train.supervised(), optax.adam(rate))

    return replace(
        base,
        build=lambda data, key: base.build(codes(data), key),
        plan=replace(base.plan, stepper=stepper, rows=lambda data: rows(codes(data))),
        finish=finish,
    )


class _Codes:
    """The latents of a dataset, of which the last few are remembered, for training asks for two
    again and again; another process is sent what they are made with."""

    def __init__(self, of: str | eqx.Module | None):
        self._of = of
        self._last: dict[Dataset, Dataset] = {}

    @functools.cached_property
    def found(self) -> tuple[AbstractEncoder, Schema | None]:
        """The model, read when it is first needed."""
        return _encoder(self._of)

    def __call__(self, data: Dataset) -> Dataset:
        """The latents in the observations' place."""
        if data not in self._last:
            while len(self._last) >= _REMEMBERED:
                del self._last[next(iter(self._last))]
            self._last[data] = _coded(self.found, data)
        return self._last[data]

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return _Codes, (self._of,)


def _encoder(of: str | eqx.Module | None) -> tuple[AbstractEncoder, Schema | None]:
    """The model, and what it reads, where that is known."""
    if of is None:
        raise ValueError(
            "on-latents needs the run whose latents it reads; give --of RUN, or in Python "
            "on_latents(of=model)."
        )
    model, schema = (of, None) if not isinstance(of, str) else _load(Path(of))
    require(model, "encoder", tool="on-latents")
    assert isinstance(model, AbstractEncoder)
    return model, schema


def _load(path: Path) -> tuple[eqx.Module, Schema | None]:
    folder = RunFolder(path)
    if not folder.result_file.exists():
        raise RunFolderError(
            f"there is no finished run in {path}; give the folder of one, such as --of runs/vae."
        )
    _, file = folder.read_result()
    return file.model, file.schema


def _coded(found: tuple[AbstractEncoder, Schema | None], data: Dataset) -> Dataset:
    """The latents of every observation in its place; labels and factors stay."""
    model, schema = found
    if schema is not None and schema.shape != data.schema.shape:
        raise ValueError(
            f"the observations have shape {data.schema.shape}, and the model of --of takes "
            f"{schema.shape}; read them as that run did (see its run.toml)."
        )
    z = many(model.encode, real(data.observations), data.conditions)
    names = latent_names(model, z.shape[1])
    codes = Schema("rows", ("latent",), z.shape[1:], names, ("",) * len(names))
    return replace(
        data, observations=z, schema=codes, references=None, times=None, inputs=None,
        input_names=(), input_units=(),
    )  # fmt: skip
