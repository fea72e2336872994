"""Normalising flows: an invertible map from standard normal latents to observations, of which
the density is known."""

from ._continuous import AbstractContinuousFlow as AbstractContinuousFlow
from ._continuous import ContinuousFlow as ContinuousFlow
from ._continuous import HutchinsonFlow as HutchinsonFlow
from ._coupling import Coupling as Coupling
from ._coupling import CouplingFlow as CouplingFlow
from ._fields import ChannelBlock as ChannelBlock
from ._fields import ChannelField as ChannelField
from ._fields import ChannelNet as ChannelNet
from ._fields import VectorField as VectorField
from ._start import start_continuous_flow as start_continuous_flow
from ._start import start_coupling_flow as start_coupling_flow
from ._whitening import Whitening as Whitening
