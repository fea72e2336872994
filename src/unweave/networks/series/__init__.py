"""Models of series: recurrent cells, readers, and differential equations in latent space."""

from ._answer import SeriesNet as SeriesNet
from ._build import CellMaker as CellMaker
from ._build import ReaderMaker as ReaderMaker
from ._build import recurrent_reader as recurrent_reader
from ._build import series_net as series_net
from ._build import start_latent_ode as start_latent_ode
from ._build import start_reader as start_reader
from ._build import start_recurrent as start_recurrent
from ._cells import CDE as CDE
from ._cells import GRU as GRU
from ._cells import LSTM as LSTM
from ._cells import ODERNN as ODERNN
from ._cells import AbstractCell as AbstractCell
from ._cells import Gates as Gates
from ._cells import SolverUnit as SolverUnit
from ._cells import unroll as unroll
from ._latent_ode import AbstractDynamics as AbstractDynamics
from ._latent_ode import LatentODE as LatentODE
from ._latent_ode import NeuralDynamics as NeuralDynamics
from ._readers import GatedConvolutions as GatedConvolutions
from ._readers import GatedLayer as GatedLayer
from ._readers import Reader as Reader
from ._recurrent import Recurrent as Recurrent
from ._times import carried_forward as carried_forward
from ._times import interpolated as interpolated
