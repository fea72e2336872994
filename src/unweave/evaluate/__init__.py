"""Measures of a fitted model."""

from ._choices import ChoiceUse as ChoiceUse
from ._choices import choice_use as choice_use
from ._context_fid import ContextFID as ContextFID
from ._context_fid import frechet_distance as frechet_distance
from ._context_fid import legacy_context_fid as legacy_context_fid
from ._legacy import LegacyScore as LegacyScore
from ._legacy import legacy_timegan_discriminative as legacy_timegan_discriminative
from ._legacy import legacy_timegan_predictive as legacy_timegan_predictive
from ._mmd import MMD as MMD
from ._mmd import mmd as mmd
from ._summary import NOTHING as NOTHING
from ._summary import Summary as Summary
from ._summary import asked as asked
from ._summary import explained_variance as explained_variance
from ._summary import observed_mean as observed_mean
from ._summary import reconstruction_score as reconstruction_score
from ._summary import summarise as summarise
from ._two_sample import TwoSample as TwoSample
from ._two_sample import two_sample as two_sample
