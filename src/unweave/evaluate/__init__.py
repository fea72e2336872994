"""Measures of a fitted model."""

from ._choices import ChoiceUse as ChoiceUse
from ._choices import choice_use as choice_use
from ._summary import NOTHING as NOTHING
from ._summary import Summary as Summary
from ._summary import explained_variance as explained_variance
from ._summary import observed_mean as observed_mean
from ._summary import reconstruction_score as reconstruction_score
from ._summary import summarise as summarise
