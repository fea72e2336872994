"""The BibTeX entries of what reads spans, or the latents of another model."""

from collections.abc import Mapping

READERS: Mapping[str, str] = {
    "devlin2019": """@inproceedings{devlin2019bert,
  author = {Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina},
  title = {{BERT}: Pre-training of Deep Bidirectional Transformers for Language Understanding},
  booktitle = {Conference of the North American Chapter of the Association for Computational
               Linguistics},
  year = {2019}
}""",
    "alain2017": """@inproceedings{alain2017understanding,
  author = {Alain, Guillaume and Bengio, Yoshua},
  title = {Understanding Intermediate Layers Using Linear Classifier Probes},
  booktitle = {International Conference on Learning Representations, Workshop Track},
  year = {2017}
}""",
}
