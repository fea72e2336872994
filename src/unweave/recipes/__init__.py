"""Recipes: each a plain function whose arguments are what one might want to change.

The command line knows them by `RECIPES` and makes an option of every argument.
"""

from collections.abc import Callable, Mapping

from ..hybrid._recipes import hybrid as hybrid
from ..hybrid._recipes import neural_ode as neural_ode
from ..hybrid._recipes import rnn_solver as rnn_solver
from ..train import Recipe
from ._adversarial import GAMES as GAMES
from ._adversarial import cgan as cgan
from ._adversarial import dcgan as dcgan
from ._adversarial import gan as gan
from ._adversarial import infogan as infogan
from ._adversarial import meg as meg
from ._adversarial_pairs import aae as aae
from ._adversarial_pairs import bigan as bigan
from ._adversarial_pairs import cyclegan as cyclegan
from ._adversarial_pairs import vae_gan as vae_gan
from ._denoising import dde as dde
from ._denoising import diffusion as diffusion
from ._denoising import ncsn as ncsn
from ._depth import fractalnet as fractalnet
from ._depth import lm_resnet as lm_resnet
from ._depth import neural_ode_net as neural_ode_net
from ._depth import polynet as polynet
from ._depth import resnet as resnet
from ._depth import revnet as revnet
from ._depth import runge_kutta_net as runge_kutta_net
from ._discrete import binary_vae as binary_vae
from ._discrete import cluster_vae as cluster_vae
from ._discrete import content_style as content_style
from ._discrete import qlae as qlae
from ._discrete import slots as slots
from ._discrete import vq_vae as vq_vae
from ._equation import equation as equation
from ._flows import coupling_flow as coupling_flow
from ._flows import ffjord as ffjord
from ._flows import flow as flow
from ._on_latents import on_latents as on_latents
from ._series import dgcnn as dgcnn
from ._series import gru as gru
from ._series import latent_ode as latent_ode
from ._series import lstm as lstm
from ._series import neural_cde as neural_cde
from ._series import ode_rnn as ode_rnn
from ._series import span_reader as span_reader
from ._variational import NOISES as NOISES
from ._variational import autoencoder as autoencoder
from ._variational import beta_tcvae as beta_tcvae
from ._variational import beta_vae as beta_vae
from ._variational import dip_vae as dip_vae
from ._variational import factor_vae as factor_vae
from ._variational import gaussian_mixture as gaussian_mixture
from ._variational import info_vae as info_vae
from ._variational import pca as pca
from ._variational import vae as vae

#: The recipes as the command line knows them.
RECIPES: Mapping[str, Callable[..., Recipe]] = {
    "vae": vae,
    "beta-vae": beta_vae,
    "beta-tcvae": beta_tcvae,
    "factor-vae": factor_vae,
    "dip-vae": dip_vae,
    "info-vae": info_vae,
    "autoencoder": autoencoder,
    "pca": pca,
    "gaussian-mixture": gaussian_mixture,
    "vq-vae": vq_vae,
    "qlae": qlae,
    "binary-vae": binary_vae,
    "cluster-vae": cluster_vae,
    "content-style": content_style,
    "slots": slots,
    "flow": flow,
    "ffjord": ffjord,
    "coupling-flow": coupling_flow,
    "gan": gan,
    "dcgan": dcgan,
    "cgan": cgan,
    "infogan": infogan,
    "aae": aae,
    "vae-gan": vae_gan,
    "bigan": bigan,
    "cyclegan": cyclegan,
    "meg": meg,
    "diffusion": diffusion,
    "ncsn": ncsn,
    "dde": dde,
    "gru": gru,
    "lstm": lstm,
    "ode-rnn": ode_rnn,
    "neural-cde": neural_cde,
    "dgcnn": dgcnn,
    "span-reader": span_reader,
    "latent-ode": latent_ode,
    "equation": equation,
    "hybrid": hybrid,
    "neural-ode": neural_ode,
    "rnn-solver": rnn_solver,
    "resnet": resnet,
    "revnet": revnet,
    "polynet": polynet,
    "fractalnet": fractalnet,
    "lm-resnet": lm_resnet,
    "rk-net": runge_kutta_net,
    "ode-net": neural_ode_net,
    "on-latents": on_latents,
}

#: Those that begin with the text of an equation.
OF_TEXT = ("equation", "hybrid", "rnn-solver")
#: Those that are fitted to courses in time, all of them where there are few.
OF_COURSES = (*OF_TEXT, "neural-ode")
