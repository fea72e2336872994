"""Models as scikit-learn's estimators, for its pipelines, cross-validation and grid searches."""

from ._anomalies import AnomalyDetector as AnomalyDetector
from ._latents import LatentTransformer as LatentTransformer
from ._regression import EquationRegressor as EquationRegressor
