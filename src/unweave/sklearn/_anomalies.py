"""What does not fit, as an outlier detector of scikit-learn."""

from typing import Any, final

import equinox as eqx
import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from .._model import AbstractDensity
from ..detect import Calibrated, Detector, Score, out_of_fold, reconstruction
from ._rows import Fitted, as_dataset, make, names_of, read, seed_of, train


@final
class AnomalyDetector(OutlierMixin, BaseEstimator):
    r"""How strange rows are to a model, or to a baseline, with a threshold by conformal p-values.

    A row is flagged where at most a share `contamination` of the calibration rows is as strange,
    $p = (1 + |\{i : s_i \ge s\}|) / (n + 1) \le \alpha$ (`detect.Calibrated`). Where rows are held
    out to calibrate, new normal rows are flagged no more often than that, on average. Without,
    the rows that were fitted calibrate as well: that share of them is flagged, as in scikit-learn,
    and nothing is promised of new ones. A detector then scores each of them in one of five folds
    without having seen it, since a row's nearest neighbour would be itself.

    **Arguments:** `recipe`, a name in `unweave.RECIPES`, or a function that makes a recipe or a
    detector, such as `uw.detect.neighbours`; `latents`, `options`, `shape`, `validation` and
    `random_state` as for `LatentTransformer`; `strangeness`, a function of a model and normal rows
    that gives a score, such as `uw.detect.joint_surprise`: without it the log-density with its sign
    turned, or `uw.detect.reconstruction` where the model has none; `contamination` above 0 and at
    most 0.5; `calibration`, the share of rows that are held out to calibrate.

    A fitted one has `model_` (None for a detector), the score `score_`, `calibrated_` and
    `offset_`.

    `fit` raises `ValueError` for what cannot be fitted, and for too few rows to flag any.
    """

    # scikit-learn lets any value in here, and says what is wrong with it in fit
    def __init__(
        self,
        recipe: Any = "pca",
        *,
        latents: Any = None,
        options: Any = None,
        strangeness: Any = None,
        contamination: Any = 0.1,
        calibration: Any = None,
        shape: Any = None,
        validation: Any = 0.1,
        random_state: Any = 0,
    ):
        self.recipe = recipe
        self.latents = latents
        self.options = options
        self.strangeness = strangeness
        self.contamination = contamination
        self.calibration = calibration
        self.shape = shape
        self.validation = validation
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "AnomalyDetector":
        """Learns from the rows `(n, feature)` and sets the threshold; `y` is not looked at."""
        if not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination must be in (0, 0.5], got: {self.contamination}")
        rows = read(self, X, reset=True)
        seed = seed_of(self.random_state)
        normal, held = self._parted(rows, seed)
        # as it was asked for now, whatever set_params says before the score is made anew
        self._asked = (self.recipe, self.options, self.latents, self.strangeness)
        made = make(*self._asked[:3], normal)
        self._fitted = None
        if isinstance(made, Detector):
            if self.strangeness is not None:
                raise ValueError(
                    f"'{made.name}' has its own score; leave strangeness out, or give a recipe."
                )
        else:
            data = as_dataset(normal, names_of(self))
            self._fitted = train(made, data, validation=self.validation, seed=seed)
        model = None if self._fitted is None else self._fitted.model
        self._normal, self._seed = normal, seed
        self.score_ = self._scored()
        if self.strangeness is None and isinstance(model, AbstractDensity):
            self._normal = normal[:0]  # a density needs them no more
        self._own = None
        if isinstance(made, Detector) and self.calibration is None:
            self._own = out_of_fold(made, normal, seed=seed)
        self.calibrated_ = Calibrated(self.score_(held) if self._own is None else self._own)
        limit = self.calibrated_.threshold(self.contamination)
        self.offset_ = -(limit if self.calibration is not None else _below(self.calibrated_, limit))
        return self

    @property
    def model_(self) -> eqx.Module | None:
        """The model that was fitted, None where a detector was."""
        check_is_fitted(self)
        return None if self._fitted is None else self._fitted.model

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each row is `(n,)`, the score with its sign turned: higher = more normal."""
        check_is_fitted(self)
        return -self.score_(read(self, X, reset=False))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: negative for what is flagged."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for each row that is flagged, 1 for the others."""
        return 1 - 2 * (self.decision_function(X) < 0).astype(int)

    def fit_predict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, X: Any, y: Any = None
    ) -> np.ndarray:
        """Fits to the rows, and -1 for each of them that is flagged, 1 for the others."""
        self.fit(X)
        if self._own is None:
            return self.predict(X)
        return 1 - 2 * (self._own > -self.offset_).astype(int)

    def p_values(self, X: Any) -> np.ndarray:
        """The conformal p-value of each row `(n,)`."""
        return self.calibrated_.p_values(-self.score_samples(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # a score is a function, which no file of an estimator holds: it is made anew from the rest
    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return {name: part for name, part in state.items() if name != "score_"}

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if "_normal" in state:
            self.score_ = self._scored()

    def _scored(self) -> Score:
        if self._fitted is None:
            made = make(*self._asked[:3], self._normal)
            assert isinstance(made, Detector)
            return made.fit(self._normal, seed=self._seed)
        model, strangeness = self._fitted.model, self._asked[3]
        if strangeness is not None:
            return strangeness(model, self._normal)
        if not isinstance(model, AbstractDensity):
            return reconstruction(model, self._normal)
        return _surprise(self._fitted, model)

    def _parted(self, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and rows to calibrate on, all of them for both without a share."""
        if self.calibration is None:
            return rows, rows
        count = round(self.calibration * len(rows)) if 0 < self.calibration < 1 else 0
        if not 1 <= count <= len(rows) - 2:
            raise ValueError(
                f"calibration={self.calibration:g} of {len(rows)} rows leaves too few to learn "
                "from or to calibrate on; give a share such as 0.3, or more rows."
            )
        order = np.random.default_rng(seed).permutation(len(rows))
        return rows[np.sort(order[count:])], rows[np.sort(order[:count])]


def _surprise(fitted: Fitted, model: AbstractDensity) -> Score:
    def of(x: np.ndarray, conditions: Any) -> np.ndarray:
        return -fitted.each(model.log_density, x)

    return Score(f"surprise ({model.density_kind})", of, unit="nat")


def _below(calibrated: Calibrated, limit: float) -> float:
    """Half way from the threshold to the next lower score: a row that was fitted is as strange as
    itself, so that it takes no part in its own p-value, and rounding flips none."""
    place = int(np.searchsorted(calibrated.scores, limit))
    return float(calibrated.scores[max(place - 1, 0)] + limit) / 2
