"""BibTeX of the papers on adversarial models."""

from collections.abc import Mapping

ADVERSARIAL: Mapping[str, str] = {
    "goodfellow2014": """@inproceedings{goodfellow2014generative,
  author = {Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and
            Warde-Farley, David and Ozair, Sherjil and Courville, Aaron and Bengio, Yoshua},
  title = {Generative Adversarial Nets},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2014}
}""",
    "huang2024": """@inproceedings{huang2024gan,
  author = {Huang, Nick and Gokaslan, Aaron and Kuleshov, Volodymyr and Tompkin, James},
  title = {The {GAN} is dead; long live the {GAN}! A Modern {GAN} Baseline},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}
}""",
    "mescheder2018": """@inproceedings{mescheder2018which,
  author = {Mescheder, Lars and Geiger, Andreas and Nowozin, Sebastian},
  title = {Which Training Methods for {GANs} do actually Converge?},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}""",
    "jolicoeur2019": """@inproceedings{jolicoeur2019relativistic,
  author = {Jolicoeur-Martineau, Alexia},
  title = {The relativistic discriminator: a key element missing from standard {GAN}},
  booktitle = {International Conference on Learning Representations},
  year = {2019}
}""",
    "radford2016": """@inproceedings{radford2016unsupervised,
  author = {Radford, Alec and Metz, Luke and Chintala, Soumith},
  title = {Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
           Networks},
  booktitle = {International Conference on Learning Representations},
  year = {2016}
}""",
    "miyato2018": """@inproceedings{miyato2018cgans,
  author = {Miyato, Takeru and Koyama, Masanori},
  title = {{cGANs} with Projection Discriminator},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}""",
    "mirza2014": """@article{mirza2014conditional,
  author = {Mirza, Mehdi and Osindero, Simon},
  title = {Conditional Generative Adversarial Nets},
  journal = {arXiv:1411.1784},
  year = {2014}
}""",
    "chen2016": """@inproceedings{chen2016infogan,
  author = {Chen, Xi and Duan, Yan and Houthooft, Rein and Schulman, John and Sutskever, Ilya and
            Abbeel, Pieter},
  title = {{InfoGAN}: Interpretable Representation Learning by Information Maximizing Generative
           Adversarial Nets},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2016}
}""",
    "makhzani2016": """@article{makhzani2016adversarial,
  author = {Makhzani, Alireza and Shlens, Jonathon and Jaitly, Navdeep and Goodfellow, Ian and
            Frey, Brendan},
  title = {Adversarial Autoencoders},
  journal = {arXiv:1511.05644},
  year = {2016}
}""",
    "larsen2016": """@inproceedings{larsen2016autoencoding,
  author = {Larsen, Anders Boesen Lindbo and S{\\o}nderby, S{\\o}ren Kaae and Larochelle, Hugo and
            Winther, Ole},
  title = {Autoencoding beyond pixels using a learned similarity metric},
  booktitle = {International Conference on Machine Learning},
  year = {2016}
}""",
    "donahue2017": """@inproceedings{donahue2017adversarial,
  author = {Donahue, Jeff and Kr{\\"a}henb{\\"u}hl, Philipp and Darrell, Trevor},
  title = {Adversarial Feature Learning},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "dumoulin2017": """@inproceedings{dumoulin2017adversarially,
  author = {Dumoulin, Vincent and Belghazi, Ishmael and Poole, Ben and Mastropietro, Olivier and
            Lamb, Alex and Arjovsky, Martin and Courville, Aaron},
  title = {Adversarially Learned Inference},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "zhu2017": """@inproceedings{zhu2017unpaired,
  author = {Zhu, Jun-Yan and Park, Taesung and Isola, Phillip and Efros, Alexei A.},
  title = {Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks},
  booktitle = {International Conference on Computer Vision},
  year = {2017}
}""",
    "kumar2019": """@article{kumar2019maximum,
  author = {Kumar, Rithesh and Ozair, Sherjil and Goyal, Anirudh and Courville, Aaron and
            Bengio, Yoshua},
  title = {Maximum Entropy Generators for Energy-Based Models},
  journal = {arXiv:1901.08508},
  year = {2019}
}""",
}
