"""networks."""

from ._autoregression import Autoregression as Autoregression
from ._autoregression import fit_autoregression as fit_autoregression
from ._axes import Axes as Axes
from ._axes import principal_axes as principal_axes
from ._conv import Conv as Conv
from ._conv import ConvTranspose as ConvTranspose
from ._mean import MeanObservation as MeanObservation
from ._mean import fit_mean as fit_mean
from ._mixture import GaussianMixture as GaussianMixture
from ._mixture import fit_gaussian_mixture as fit_gaussian_mixture
from ._mlp import MLP as MLP
from ._mlp import Flat as Flat
from ._nets import Stack as Stack
from ._nets import conv_decoder as conv_decoder
from ._nets import conv_encoder as conv_encoder
from ._pca import PCA as PCA
from ._pca import fit_pca as fit_pca
from ._start import Pair as Pair
from ._start import Skip as Skip
from ._start import start_pair as start_pair
from ._vae import VAE as VAE
from ._vae import Autoencoder as Autoencoder
