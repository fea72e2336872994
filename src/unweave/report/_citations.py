"""BibTeX of the methods that a run used."""

from collections.abc import Mapping

_ENTRIES: Mapping[str, str] = {
    "kingma2014": """@inproceedings{kingma2014vae,
  author = {Kingma, Diederik P. and Welling, Max},
  title = {Auto-Encoding Variational {Bayes}},
  booktitle = {International Conference on Learning Representations},
  year = {2014}
}""",
    "burgess2018": """@article{burgess2018understanding,
  author = {Burgess, Christopher P. and Higgins, Irina and Pal, Arka and Matthey, Loic and
            Watters, Nick and Desjardins, Guillaume and Lerchner, Alexander},
  title = {Understanding disentangling in $\\beta$-{VAE}},
  journal = {arXiv:1804.03599},
  year = {2018}
}""",
    "chen2018": """@inproceedings{chen2018isolating,
  author = {Chen, Ricky T. Q. and Li, Xuechen and Grosse, Roger B. and Duvenaud, David K.},
  title = {Isolating Sources of Disentanglement in Variational Autoencoders},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}""",
    "kim2018": """@inproceedings{kim2018disentangling,
  author = {Kim, Hyunjik and Mnih, Andriy},
  title = {Disentangling by Factorising},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}""",
    "kumar2018": """@inproceedings{kumar2018variational,
  author = {Kumar, Abhishek and Sattigeri, Prasanna and Balakrishnan, Avinash},
  title = {Variational Inference of Disentangled Latent Concepts from Unlabeled Observations},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}""",
    "zhao2019": """@inproceedings{zhao2019infovae,
  author = {Zhao, Shengjia and Song, Jiaming and Ermon, Stefano},
  title = {{InfoVAE}: Balancing Learning and Inference in Variational Autoencoders},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2019}
}""",
    "hinton2006": """@article{hinton2006reducing,
  author = {Hinton, Geoffrey E. and Salakhutdinov, Ruslan R.},
  title = {Reducing the Dimensionality of Data with Neural Networks},
  journal = {Science},
  volume = {313},
  pages = {504--507},
  year = {2006}
}""",
    "tipping1999": """@article{tipping1999probabilistic,
  author = {Tipping, Michael E. and Bishop, Christopher M.},
  title = {Probabilistic Principal Component Analysis},
  journal = {Journal of the Royal Statistical Society B},
  volume = {61},
  pages = {611--622},
  year = {1999}
}""",
    "kingma2015": """@inproceedings{kingma2015adam,
  author = {Kingma, Diederik P. and Ba, Jimmy},
  title = {Adam: A Method for Stochastic Optimization},
  booktitle = {International Conference on Learning Representations},
  year = {2015}
}""",
    "mclachlan2000": """@book{mclachlan2000finite,
  author = {McLachlan, Geoffrey and Peel, David},
  title = {Finite Mixture Models},
  publisher = {Wiley},
  year = {2000}
}""",
}
_VAE = ("kingma2014", "tipping1999", "kingma2015")
_USED: Mapping[str, tuple[str, ...]] = {
    "vae": _VAE,
    "beta-vae": ("burgess2018", *_VAE),
    "beta-tcvae": ("chen2018", *_VAE),
    "factor-vae": ("kim2018", *_VAE),
    "dip-vae": ("kumar2018", *_VAE),
    "info-vae": ("zhao2019", *_VAE),
    "autoencoder": ("hinton2006", "tipping1999", "kingma2015"),
    "pca": ("tipping1999",),
    "gaussian-mixture": ("mclachlan2000", "tipping1999"),
}


def citations(recipe: str) -> tuple[str, ...]:
    """The BibTeX entries of what `recipe` uses; none for a recipe of the user's own."""
    return tuple(_ENTRIES[key] for key in _USED.get(recipe, ()))
