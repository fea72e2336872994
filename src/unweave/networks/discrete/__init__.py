"""Models with latents that are choices."""

from ._binary import BinaryVAE as BinaryVAE
from ._binary import start_binary_vae as start_binary_vae
from ._choices import choice_latents as choice_latents
from ._cluster import ClusterVAE as ClusterVAE
from ._cluster import start_cluster_vae as start_cluster_vae
from ._content import ContentStyleVAE as ContentStyleVAE
from ._content import start_content_style_vae as start_content_style_vae
from ._qlae import QLAE as QLAE
from ._qlae import start_qlae as start_qlae
from ._views import AbstractView as AbstractView
from ._views import ImageView as ImageView
from ._views import RowView as RowView
from ._views import SeriesView as SeriesView
from ._vqvae import VQVAE as VQVAE
from ._vqvae import start_vqvae as start_vqvae
