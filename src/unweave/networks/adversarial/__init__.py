"""Generators trained against a critic, and critics read as energies."""

from ._autoencoder import AdversarialAutoencoder as AdversarialAutoencoder
from ._autoencoder import FeatureCritic as FeatureCritic
from ._cycle import ConvTranslator as ConvTranslator
from ._cycle import CycleGAN as CycleGAN
from ._cycle import Translator as Translator
from ._energy import Energy as Energy
from ._energy import EnergyGAN as EnergyGAN
from ._energy import langevin as langevin
from ._energy import latent_langevin as latent_langevin
from ._gan import GAN as GAN
from ._gan import Critic as Critic
from ._info import InfoGAN as InfoGAN
from ._info import info_latents as info_latents
from ._spectral import Spectral as Spectral
from ._spectral import refresh_spectra as refresh_spectra
from ._start import Bounded as Bounded
from ._start import start_adversarial_autoencoder as start_adversarial_autoencoder
from ._start import start_cycle_gan as start_cycle_gan
from ._start import start_energy_gan as start_energy_gan
from ._start import start_gan as start_gan
from ._start import start_info_gan as start_info_gan
