"""What a report is made of: plain numbers and arrays, and no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._schema import Schema
from ._answers import Answer
from ._equation import EquationContent


@dataclass(frozen=True)
class Measure:
    """A number with what belongs to it: how many observations, its spread, what kind it is."""

    value: float
    n: int
    spread: float | None = None
    kind: str = ""


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything on the page; None, or nothing, where a model has no such thing.

    **The run:** `title`; `recipe` and its `options`; `command`, which repeats it; `epochs`,
    `seconds` and `stopped`, a sentence; `rows` of the log with `epoch`, `train_loss` and
    `held_out_loss`; `citations`, BibTeX entries.

    **The data:** `schema`; `source`; the sizes of the three parts; `split`, how they were
    parted; `notes`.

    **The numbers**, on test data: `explained_variance` (and that on training data, to
    compare, of `n_train_measured` where that is not all),
    `baselines` from a noun phrase such as "PCA with 10 latents" or "the mean observation" to
    the variance that it explains, `log_density` in nats per observation with its kind;
    `spread_of` says what the spreads are taken over. `kl` `(latent,)` in nats, and which
    latents are `active`.

    **The arrays**, in the user's units: test observations `x` `(n, *shape)` (some hundred are
    enough) and their reconstructions `xhat`; `samples` `(n, *shape)`; `traversal`
    `(latent, step, *shape)` in even steps of the standard normal score from `low` to `high`,
    the other latents at the centre of their priors.

    **An equation** that was fitted has sections of its own, `equation`; a network that answers
    has its `prediction`, as `measure` gives it, and one with discrete latents its `choices`.
    `health` are sentences on what was generated during training, as `health_words` gives them.
    `answers` are those of the tools that were asked of the model, and `unread` says which of them
    cannot be shown.
    """

    title: str
    recipe: str
    schema: Schema
    source: str
    n_train: int
    n_validation: int
    n_test: int
    split: str
    latents: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    notes: tuple[str, ...] = ()
    epochs: int | None = None
    seconds: float | None = None
    stopped: str = ""
    rows: Sequence[Mapping[str, float | int]] = ()
    citations: tuple[str, ...] = ()
    explained_variance: Measure | None = None
    explained_variance_train: float | None = None
    n_train_measured: int | None = None
    baselines: Mapping[str, Measure] = field(default_factory=dict)
    log_density: Measure | None = None
    spread_of: str = ""
    kl: np.ndarray | None = None
    active: tuple[bool, ...] | None = None
    x: np.ndarray | None = None
    xhat: np.ndarray | None = None
    samples: np.ndarray | None = None
    traversal: np.ndarray | None = None
    low: float = -3.0
    high: float = 3.0
    equation: EquationContent | None = None
    prediction: Mapping[str, Any] | None = None
    health: tuple[str, ...] = ()
    choices: Mapping[str, Any] | None = None
    answers: tuple[Answer, ...] = ()
    unread: tuple[str, ...] = ()

    def __post_init__(self):
        n = len(self.latents)
        for name in ("kl", "active", "traversal"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise ValueError(f"{name} has {len(part)} entries, and there are {n} latents.")
        for name, lead in (("x", 1), ("xhat", 1), ("samples", 1), ("traversal", 2)):
            part = getattr(self, name)
            if part is not None and part.shape[lead:] != self.schema.shape:
                raise ValueError(
                    f"{name} holds observations of shape {part.shape[lead:]}, and the schema "
                    f"describes {self.schema.shape}."
                )
        if not self.low < 0 < self.high:
            raise ValueError(
                f"a traversal from {self.low:g} to {self.high:g} misses the prior's centre, "
                "from which effects are counted; low must be below 0 and high above."
            )

    @property
    def turned(self) -> tuple[int, ...]:
        """The latents worth turning: the active ones, the most telling first."""
        order = range(len(self.latents))
        kl = self.kl
        if kl is not None:
            order = sorted(order, key=lambda i: -float(np.nan_to_num(kl[i])))
        active = self.active
        return tuple(i for i in order if active is None or active[i] or not any(active))
