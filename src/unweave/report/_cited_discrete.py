"""The BibTeX entries of models with discrete and parted latents."""

from collections.abc import Mapping

DISCRETE: Mapping[str, str] = {
    "oord2017": """@inproceedings{oord2017neural,
  author = {van den Oord, A{\\"a}ron and Vinyals, Oriol and Kavukcuoglu, Koray},
  title = {Neural Discrete Representation Learning},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}""",
    "dhariwal2020": """@misc{dhariwal2020jukebox,
  author = {Dhariwal, Prafulla and Jun, Heewoo and Payne, Christine and Kim, Jong Wook
    and Radford, Alec and Sutskever, Ilya},
  title = {Jukebox: A Generative Model for Music},
  note = {arXiv:2005.00341},
  year = {2020}
}""",
    "hsu2023": """@inproceedings{hsu2023disentanglement,
  author = {Hsu, Kyle and Dorrell, Will and Whittington, James C. R. and Wu, Jiajun
    and Finn, Chelsea},
  title = {Disentanglement via Latent Quantization},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023}
}""",
    "bengio2013": """@misc{bengio2013estimating,
  author = {Bengio, Yoshua and L{\\'e}onard, Nicholas and Courville, Aaron},
  title = {Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
    Computation},
  note = {arXiv:1308.3432},
  year = {2013}
}""",
    "maddison2017": """@inproceedings{maddison2017concrete,
  author = {Maddison, Chris J. and Mnih, Andriy and Teh, Yee Whye},
  title = {The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "jiang2017": """@inproceedings{jiang2017variational,
  author = {Jiang, Zhuxi and Zheng, Yin and Tan, Huachun and Tang, Bangsheng and Zhou, Hanning},
  title = {Variational Deep Embedding: An Unsupervised and Generative Approach to Clustering},
  booktitle = {International Joint Conference on Artificial Intelligence},
  year = {2017}
}""",
    "hu2017": """@inproceedings{hu2017learning,
  author = {Hu, Weihua and Miyato, Takeru and Tokui, Seiya and Matsumoto, Eiichi
    and Sugiyama, Masashi},
  title = {Learning Discrete Representations via Information Maximizing Self-Augmented Training},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}""",
    "ng2002": """@inproceedings{ng2002spectral,
  author = {Ng, Andrew Y. and Jordan, Michael I. and Weiss, Yair},
  title = {On Spectral Clustering: Analysis and an Algorithm},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2002}
}""",
    "bouchacourt2018": """@inproceedings{bouchacourt2018multi,
  author = {Bouchacourt, Diane and Tomioka, Ryota and Nowozin, Sebastian},
  title = {Multi-Level Variational Autoencoder: Learning Disentangled Representations from Grouped
    Observations},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2018}
}""",
    "bepler2019": """@inproceedings{bepler2019explicitly,
  author = {Bepler, Tristan and Zhong, Ellen and Kelley, Kotaro and Brignole, Edward and Berger,
    Bonnie},
  title = {Explicitly Disentangling Image Content from Translation and Rotation with {Spatial-VAE}},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019}
}""",
    "goldberger2005": """@inproceedings{goldberger2005neighbourhood,
  author = {Goldberger, Jacob and Roweis, Sam and Hinton, Geoffrey and Salakhutdinov, Ruslan},
  title = {Neighbourhood Components Analysis},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2005}
}""",
    "locatello2020": """@inproceedings{locatello2020object,
  author = {Locatello, Francesco and Weissenborn, Dirk and Unterthiner, Thomas
    and Mahendran, Aravindh and Heigold, Georg and Uszkoreit, Jakob and Dosovitskiy, Alexey
    and Kipf, Thomas},
  title = {Object-Centric Learning with Slot Attention},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020}
}""",
    "watters2019": """@misc{watters2019spatial,
  author = {Watters, Nicholas and Matthey, Loic and Burgess, Christopher P.
    and Lerchner, Alexander},
  title = {Spatial Broadcast Decoder: A Simple Architecture for Learning Disentangled
    Representations in {VAEs}},
  note = {arXiv:1901.07017},
  year = {2019}
}""",
    "loshchilov2019": """@inproceedings{loshchilov2019decoupled,
  author = {Loshchilov, Ilya and Hutter, Frank},
  title = {Decoupled Weight Decay Regularization},
  booktitle = {International Conference on Learning Representations},
  year = {2019}
}""",
}
