"""BibTeX of the methods that a run used."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ._bibliography import ADVERSARIAL
from ._cited_discrete import DISCRETE
from ._cited_readers import READERS
from ._cited_recipes import USED
from ._cited_tools import TOOLS

_ENTRIES: Mapping[str, str] = {
    **ADVERSARIAL,
    **READERS,
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
    "levenberg1944": """@article{levenberg1944,
  author = {Levenberg, Kenneth},
  title = {A Method for the Solution of Certain Non-Linear Problems in Least Squares},
  journal = {Quarterly of Applied Mathematics},
  volume = {2},
  pages = {164--168},
  year = {1944}
}""",
    "marquardt1963": """@article{marquardt1963,
  author = {Marquardt, Donald W.},
  title = {An Algorithm for Least-Squares Estimation of Nonlinear Parameters},
  journal = {Journal of the Society for Industrial and Applied Mathematics},
  volume = {11},
  pages = {431--441},
  year = {1963}
}""",
    "varah1982": """@article{varah1982,
  author = {Varah, James M.},
  title = {A Spline Least Squares Method for Numerical Parameter Estimation in Differential
           Equations},
  journal = {SIAM Journal on Scientific and Statistical Computing},
  volume = {3},
  pages = {28--46},
  year = {1982}
}""",
    "kidger2021": """@phdthesis{kidger2021,
  author = {Kidger, Patrick},
  title = {On Neural Differential Equations},
  school = {University of Oxford},
  year = {2021}
}""",
    "tsitouras2011": """@article{tsitouras2011,
  author = {Tsitouras, Charalampos},
  title = {{Runge--Kutta} pairs of order 5(4) satisfying only the first column simplifying
           assumption},
  journal = {Computers and Mathematics with Applications},
  volume = {62},
  pages = {770--775},
  year = {2011}
}""",
    "kvaerno2004": """@article{kvaerno2004,
  author = {Kv{\\ae}rn{\\o}, Anne},
  title = {Singly Diagonally Implicit {Runge--Kutta} Methods with an Explicit First Stage},
  journal = {BIT Numerical Mathematics},
  volume = {44},
  pages = {489--502},
  year = {2004}
}""",
    "raue2009": """@article{raue2009,
  author = {Raue, Andreas and Kreutz, Clemens and Maiwald, Thomas and Bachmann, Julie and
            Schilling, Marcel and Klingm{\"u}ller, Ursula and Timmer, Jens},
  title = {Structural and practical identifiability analysis of partially observed dynamical
           models by exploiting the profile likelihood},
  journal = {Bioinformatics},
  volume = {25},
  pages = {1923--1929},
  year = {2009}
}""",
    "hoffman2014": """@article{hoffman2014,
  author = {Hoffman, Matthew D. and Gelman, Andrew},
  title = {The {No-U-Turn} Sampler: Adaptively Setting Path Lengths in {Hamiltonian} {Monte}
           {Carlo}},
  journal = {Journal of Machine Learning Research},
  volume = {15},
  pages = {1593--1623},
  year = {2014}
}""",
    "phan2019": """@article{phan2019,
  author = {Phan, Du and Pradhan, Neeraj and Jankowiak, Martin},
  title = {Composable Effects for Flexible and Accelerated Probabilistic Programming in
           {NumPyro}},
  journal = {arXiv:1912.11554},
  year = {2019}
}""",
    "ljung1978": """@article{ljung1978,
  author = {Ljung, Greta M. and Box, George E. P.},
  title = {On a measure of lack of fit in time series models},
  journal = {Biometrika},
  volume = {65},
  pages = {297--303},
  year = {1978}
}""",
    "akaike1974": """@article{akaike1974,
  author = {Akaike, Hirotugu},
  title = {A new look at the statistical model identification},
  journal = {IEEE Transactions on Automatic Control},
  volume = {19},
  pages = {716--723},
  year = {1974}
}""",
    "schwarz1978": """@article{schwarz1978,
  author = {Schwarz, Gideon},
  title = {Estimating the dimension of a model},
  journal = {The Annals of Statistics},
  volume = {6},
  pages = {461--464},
  year = {1978}
}""",
    "lipman2023": """@inproceedings{lipman2023flow,
  author = {Lipman, Yaron and Chen, Ricky T. Q. and Ben-Hamu, Heli and Nickel, Maximilian and
            Le, Matt},
  title = {Flow Matching for Generative Modeling},
  booktitle = {International Conference on Learning Representations},
  year = {2023}
}""",
    "tong2024": """@article{tong2024improving,
  author = {Tong, Alexander and Fatras, Kilian and Malkin, Nikolay and Huguet, Guillaume and
            Zhang, Yanlei and Rector-Brooks, Jarrid and Wolf, Guy and Bengio, Yoshua},
  title = {Improving and generalizing flow-based generative models with minibatch optimal
           transport},
  journal = {Transactions on Machine Learning Research},
  year = {2024}
}""",
    "grathwohl2019": """@inproceedings{grathwohl2019ffjord,
  author = {Grathwohl, Will and Chen, Ricky T. Q. and Bettencourt, Jesse and Sutskever, Ilya and
            Duvenaud, David},
  title = {{FFJORD}: Free-form Continuous Dynamics for Scalable Reversible Generative Models},
  booktitle = {International Conference on Learning Representations},
  year = {2019}
}""",
    "finlay2020": """@inproceedings{finlay2020train,
  author = {Finlay, Chris and Jacobsen, Joern-Henrik and Nurbekyan, Levon and Oberman, Adam},
  title = {How to train your neural {ODE}: the world of {Jacobian} and kinetic regularization},
  booktitle = {International Conference on Machine Learning},
  year = {2020}
}""",
    "dinh2017": """@inproceedings{dinh2017density,
  author = {Dinh, Laurent and Sohl-Dickstein, Jascha and Bengio, Samy},
  title = {Density estimation using {Real NVP}},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "karras2022": """@inproceedings{karras2022elucidating,
  author = {Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli},
  title = {Elucidating the Design Space of Diffusion-Based Generative Models},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022}
}""",
    "bigdeli2020": """@article{bigdeli2020learning,
  author = {Bigdeli, Siavash A. and Lin, Geng and Portenier, Tiziano and Dunbar, L. Andrea and
            Zwicker, Matthias},
  title = {Learning Generative Models using Denoising Density Estimators},
  journal = {arXiv preprint arXiv:2001.02728},
  year = {2020}
}""",
    "song2021": """@inproceedings{song2021score,
  author = {Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P. and Kumar, Abhishek and
            Ermon, Stefano and Poole, Ben},
  title = {Score-Based Generative Modeling through Stochastic Differential Equations},
  booktitle = {International Conference on Learning Representations},
  year = {2021}
}""",
    "song2019": """@inproceedings{song2019generative,
  author = {Song, Yang and Ermon, Stefano},
  title = {Generative Modeling by Estimating Gradients of the Data Distribution},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019}
}""",
    "vincent2011": """@article{vincent2011connection,
  author = {Vincent, Pascal},
  title = {A Connection Between Score Matching and Denoising Autoencoders},
  journal = {Neural Computation},
  volume = {23},
  pages = {1661--1674},
  year = {2011}
}""",
    "he2016": """@inproceedings{he2016deep,
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title = {Deep Residual Learning for Image Recognition},
  booktitle = {{IEEE} Conference on Computer Vision and Pattern Recognition},
  year = {2016}
}""",
    "gomez2017": """@inproceedings{gomez2017reversible,
  author = {Gomez, Aidan N. and Ren, Mengye and Urtasun, Raquel and Grosse, Roger B.},
  title = {The Reversible Residual Network: Backpropagation Without Storing Activations},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}""",
    "zhang2017": """@inproceedings{zhang2017polynet,
  author = {Zhang, Xingcheng and Li, Zhizhong and Loy, Chen Change and Lin, Dahua},
  title = {{PolyNet}: A Pursuit of Structural Diversity in Very Deep Networks},
  booktitle = {{IEEE} Conference on Computer Vision and Pattern Recognition},
  year = {2017}
}""",
    "larsson2017": """@inproceedings{larsson2017fractalnet,
  author = {Larsson, Gustav and Maire, Michael and Shakhnarovich, Gregory},
  title = {{FractalNet}: Ultra-Deep Neural Networks without Residuals},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "lu2018": """@inproceedings{lu2018beyond,
  author = {Lu, Yiping and Zhong, Aoxiao and Li, Quanzheng and Dong, Bin},
  title = {Beyond Finite Layer Neural Networks: Bridging Deep Architectures and Numerical
           Differential Equations},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}""",
    "neuralode2018": """@inproceedings{chen2018neural,
  author = {Chen, Ricky T. Q. and Rubanova, Yulia and Bettencourt, Jesse and Duvenaud, David},
  title = {Neural Ordinary Differential Equations},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}""",
    "cho2014": """@inproceedings{cho2014learning,
  author = {Cho, Kyunghyun and van Merri{\\"e}nboer, Bart and Gulcehre, Caglar and Bahdanau,
            Dzmitry and Bougares, Fethi and Schwenk, Holger and Bengio, Yoshua},
  title = {Learning Phrase Representations using {RNN} Encoder--Decoder for Statistical Machine
           Translation},
  booktitle = {Conference on Empirical Methods in Natural Language Processing},
  year = {2014}
}""",
    "hochreiter1997": """@article{hochreiter1997long,
  author = {Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  title = {Long Short-Term Memory},
  journal = {Neural Computation},
  volume = {9},
  pages = {1735--1780},
  year = {1997}
}""",
    "rubanova2019": """@inproceedings{rubanova2019latent,
  author = {Rubanova, Yulia and Chen, Ricky T. Q. and Duvenaud, David},
  title = {Latent Ordinary Differential Equations for Irregularly-Sampled Time Series},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019}
}""",
    "kidger2020": """@inproceedings{kidger2020neural,
  author = {Kidger, Patrick and Morrill, James and Foster, James and Lyons, Terry},
  title = {Neural Controlled Differential Equations for Irregular Time Series},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020}
}""",
    "dauphin2017": """@inproceedings{dauphin2017language,
  author = {Dauphin, Yann N. and Fan, Angela and Auli, Michael and Grangier, David},
  title = {Language Modeling with Gated Convolutional Networks},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}""",
    "bahdanau2015": """@inproceedings{bahdanau2015neural,
  author = {Bahdanau, Dzmitry and Cho, Kyunghyun and Bengio, Yoshua},
  title = {Neural Machine Translation by Jointly Learning to Align and Translate},
  booktitle = {International Conference on Learning Representations},
  year = {2015}
}""",
    **DISCRETE,
    **TOOLS,
}
#: The solver and the library behind each method that an equation may be solved with.
_SOLVED_BY: Mapping[str, tuple[str, ...]] = {
    "grid": (),
    "explicit": ("tsitouras2011", "kidger2021"),
    "stiff": ("kvaerno2004", "kidger2021"),
}


def keys_of_recipe(recipe: str) -> tuple[str, ...]:
    """The keys of what `recipe` uses; none for a recipe of the user's own."""
    return USED.get(recipe, ())


def bibtex(keys: Iterable[str]) -> tuple[str, ...]:
    """The BibTeX entries of these keys, each once and called by its key."""
    keys = dict.fromkeys(keys)
    return tuple(re.sub(r"\{[^,]+", lambda _, k=k: f"{{{k}", _ENTRIES[k], count=1) for k in keys)


def keys_of_equation(account: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of what a fitted equation used, told from the account that it left."""
    keys = ["levenberg1944", "marquardt1963", "varah1982"]
    keys += _SOLVED_BY.get(account["solver"]["method"], ())
    keys += ["ljung1978"] if account["residuals"]["ljung_box_p"] else []
    keys += ["akaike1974"] if account["aic"] is not None else []
    keys += ["schwarz1978"] if account["bic"] is not None else []
    keys += ["raue2009"] if account["profiles"] else []
    keys += ["hoffman2014", "phan2019"] if account["posterior"] else []
    return tuple(keys)
