"""Figures: arrays in, a Matplotlib `Figure` out, in the units of the schema.

Nothing here touches pyplot, so no window opens and no figure is kept alive behind your back;
the same arrays give the same bytes.
"""

from ._anomalies import scored_series as scored_series
from ._anomalies import strangest as strangest
from ._attack import attacked as attacked
from ._attack import withstood as withstood
from ._attribution import attribution as attribution
from ._attribution import sensitivities as sensitivities
from ._card import learning_curves as learning_curves
from ._compared import COLOURS as COLOURS
from ._compared import compared as compared
from ._equation import fit as fit
from ._equation import residuals as residuals
from ._evidence import correlation as correlation
from ._evidence import estimates as estimates
from ._evidence import profiles as profiles
from ._evidence import waterfall as waterfall
from ._hybrid import found as found
from ._missed import missed as missed
from ._observations import reconstructions as reconstructions
from ._observations import samples as samples
from ._observations import traversal as traversal
from ._phase import bifurcation as bifurcation
from ._phase import phase_portrait as phase_portrait
from ._promises import limits as limits
from ._promises import reliability as reliability
from ._seeds import over_seeds as over_seeds
from ._style import ACCENT as ACCENT
from ._style import DIVERGING as DIVERGING
from ._style import FAINT as FAINT
from ._style import INK as INK
from ._style import MUTED as MUTED
from ._style import RULE as RULE
from ._style import encoded as encoded
from ._style import pdf as pdf
from ._style import save as save
from ._style import svg as svg
from ._tables import shares as shares
from ._training import curves as curves
from ._training import kl_bars as kl_bars
