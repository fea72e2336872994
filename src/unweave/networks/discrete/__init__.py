"""Models with latents that are choices."""

from ._binary import BinaryVAE as BinaryVAE
from ._binary import start_binary_vae as start_binary_vae
from ._choices import choice_latents as choice_latents
from ._qlae import QLAE as QLAE
from ._qlae import start_qlae as start_qlae
from ._vqvae import VQVAE as VQVAE
from ._vqvae import start_vqvae as start_vqvae
