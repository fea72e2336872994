"""Denoising models: diffusion models, and densities learned from noise alone."""

from ._density import DenoisingDensity as DenoisingDensity
from ._density import LogDensity as LogDensity
from ._density import start_denoising_density as start_denoising_density
from ._diffusion import Diffusion as Diffusion
from ._nets import CourseNet as CourseNet
from ._nets import DenseNet as DenseNet
from ._nets import NoisedBlock as NoisedBlock
from ._nets import UNet as UNet
from ._samplers import ancestral as ancestral
from ._samplers import annealed_langevin as annealed_langevin
from ._start import start_diffusion as start_diffusion
