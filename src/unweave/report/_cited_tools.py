"""The BibTeX entries of the tools that are asked of a model, each called by its key."""

from collections.abc import Mapping

TOOLS: Mapping[str, str] = {
    "simonyan2014": """@inproceedings{simonyan2014,
  author = {Simonyan, Karen and Vedaldi, Andrea and Zisserman, Andrew},
  title = {Deep Inside Convolutional Networks: Visualising Image Classification Models and
           Saliency Maps},
  booktitle = {International Conference on Learning Representations, Workshop Track},
  year = {2014}
}""",
    "sundararajan2017": """@inproceedings{sundararajan2017,
  author = {Sundararajan, Mukund and Taly, Ankur and Yan, Qiqi},
  title = {Axiomatic Attribution for Deep Networks},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}""",
    "smilkov2017": """@article{smilkov2017,
  author = {Smilkov, Daniel and Thorat, Nikhil and Kim, Been and Vi{\\'e}gas, Fernanda and
            Wattenberg, Martin},
  title = {{SmoothGrad}: removing noise by adding noise},
  journal = {arXiv:1706.03825},
  year = {2017}
}""",
    "zeiler2014": """@inproceedings{zeiler2014,
  author = {Zeiler, Matthew D. and Fergus, Rob},
  title = {Visualizing and Understanding Convolutional Networks},
  booktitle = {European Conference on Computer Vision},
  year = {2014}
}""",
    "ribeiro2016": """@inproceedings{ribeiro2016,
  author = {Ribeiro, Marco Tulio and Singh, Sameer and Guestrin, Carlos},
  title = {``{Why} Should {I} Trust You?'': Explaining the Predictions of Any Classifier},
  booktitle = {ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year = {2016}
}""",
    "selvaraju2017": """@inproceedings{selvaraju2017,
  author = {Selvaraju, Ramprasaath R. and Cogswell, Michael and Das, Abhishek and
            Vedantam, Ramakrishna and Parikh, Devi and Batra, Dhruv},
  title = {{Grad-CAM}: Visual Explanations from Deep Networks via Gradient-Based Localization},
  booktitle = {International Conference on Computer Vision},
  year = {2017}
}""",
    "petsiuk2018": """@inproceedings{petsiuk2018,
  author = {Petsiuk, Vitali and Das, Abir and Saenko, Kate},
  title = {{RISE}: Randomized Input Sampling for Explanation of Black-box Models},
  booktitle = {British Machine Vision Conference},
  year = {2018}
}""",
    "adebayo2018": """@inproceedings{adebayo2018,
  author = {Adebayo, Julius and Gilmer, Justin and Muelly, Michael and Goodfellow, Ian and
            Hardt, Moritz and Kim, Been},
  title = {Sanity Checks for Saliency Maps},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}""",
    "goodfellow2015": """@inproceedings{goodfellow2015,
  author = {Goodfellow, Ian J. and Shlens, Jonathon and Szegedy, Christian},
  title = {Explaining and Harnessing Adversarial Examples},
  booktitle = {International Conference on Learning Representations},
  year = {2015}
}""",
    "madry2018": """@inproceedings{madry2018,
  author = {Madry, Aleksander and Makelov, Aleksandar and Schmidt, Ludwig and Tsipras, Dimitris
            and Vladu, Adrian},
  title = {Towards Deep Learning Models Resistant to Adversarial Attacks},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}""",
    "croce2020": """@inproceedings{croce2020,
  author = {Croce, Francesco and Hein, Matthias},
  title = {Reliable evaluation of adversarial robustness with an ensemble of diverse
           parameter-free attacks},
  booktitle = {International Conference on Machine Learning},
  year = {2020}
}""",
    "moosavi2016": """@inproceedings{moosavi2016,
  author = {Moosavi-Dezfooli, Seyed-Mohsen and Fawzi, Alhussein and Frossard, Pascal},
  title = {{DeepFool}: a simple and accurate method to fool deep neural networks},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016}
}""",
    "carlini2017": """@inproceedings{carlini2017,
  author = {Carlini, Nicholas and Wagner, David},
  title = {Towards Evaluating the Robustness of Neural Networks},
  booktitle = {IEEE Symposium on Security and Privacy},
  year = {2017}
}""",
    "andriushchenko2020": """@inproceedings{andriushchenko2020,
  author = {Andriushchenko, Maksym and Croce, Francesco and Flammarion, Nicolas and
            Hein, Matthias},
  title = {Square Attack: a query-efficient black-box adversarial attack via random search},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}""",
    "brendel2018": """@inproceedings{brendel2018,
  author = {Brendel, Wieland and Rauber, Jonas and Bethge, Matthias},
  title = {Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine
           Learning Models},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}""",
    "liu2017": """@inproceedings{liu2017,
  author = {Liu, Yanpei and Chen, Xinyun and Liu, Chang and Song, Dawn},
  title = {Delving into Transferable Adversarial Examples and Black-box Attacks},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "athalye2018": """@inproceedings{athalye2018,
  author = {Athalye, Anish and Carlini, Nicholas and Wagner, David},
  title = {Obfuscated Gradients Give a False Sense of Security: Circumventing Defenses to
           Adversarial Examples},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}""",
    "wilson1927": """@article{wilson1927,
  author = {Wilson, Edwin B.},
  title = {Probable Inference, the Law of Succession, and Statistical Inference},
  journal = {Journal of the American Statistical Association},
  volume = {22},
  pages = {209--212},
  year = {1927}
}""",
    "bates2023": """@article{bates2023,
  author = {Bates, Stephen and Cand{\\`e}s, Emmanuel and Lei, Lihua and Romano, Yaniv and
            Sesia, Matteo},
  title = {Testing for outliers with conformal p-values},
  journal = {The Annals of Statistics},
  volume = {51},
  pages = {149--178},
  year = {2023}
}""",
    "ramaswamy2000": """@inproceedings{ramaswamy2000,
  author = {Ramaswamy, Sridhar and Rastogi, Rajeev and Shim, Kyuseok},
  title = {Efficient Algorithms for Mining Outliers from Large Data Sets},
  booktitle = {ACM SIGMOD International Conference on Management of Data},
  year = {2000}
}""",
    "breunig2000": """@inproceedings{breunig2000,
  author = {Breunig, Markus M. and Kriegel, Hans-Peter and Ng, Raymond T. and Sander, J{\\"o}rg},
  title = {{LOF}: Identifying Density-Based Local Outliers},
  booktitle = {ACM SIGMOD International Conference on Management of Data},
  year = {2000}
}""",
    "liu2008": """@inproceedings{liu2008,
  author = {Liu, Fei Tony and Ting, Kai Ming and Zhou, Zhi-Hua},
  title = {Isolation Forest},
  booktitle = {IEEE International Conference on Data Mining},
  year = {2008}
}""",
    "yeh2016": """@inproceedings{yeh2016,
  author = {Yeh, Chin-Chia Michael and Zhu, Yan and Ulanova, Liudmila and Begum, Nurjahan and
            Ding, Yifei and Dau, Hoang Anh and Silva, Diego Furtado and Mueen, Abdullah and
            Keogh, Eamonn},
  title = {Matrix Profile {I}: All Pairs Similarity Joins for Time Series},
  booktitle = {IEEE International Conference on Data Mining},
  year = {2016}
}""",
    "aggarwal2015": """@article{aggarwal2015,
  author = {Aggarwal, Charu C. and Sathe, Saket},
  title = {Theoretical Foundations and Algorithms for Outlier Ensembles},
  journal = {ACM SIGKDD Explorations Newsletter},
  volume = {17},
  pages = {24--47},
  year = {2015}
}""",
    "hendrycks2017": """@inproceedings{hendrycks2017,
  author = {Hendrycks, Dan and Gimpel, Kevin},
  title = {A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
           Networks},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "liu2020": """@inproceedings{liu2020,
  author = {Liu, Weitang and Wang, Xiaoyun and Owens, John and Li, Yixuan},
  title = {Energy-based Out-of-distribution Detection},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020}
}""",
    "paparrizos2022": """@article{paparrizos2022,
  author = {Paparrizos, John and Boniol, Paul and Palpanas, Themis and Tsay, Ruey S. and
            Elmore, Aaron and Franklin, Michael J.},
  title = {Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly
           Detection},
  journal = {Proceedings of the VLDB Endowment},
  volume = {15},
  pages = {2774--2787},
  year = {2022}
}""",
    "eastwood2018": """@inproceedings{eastwood2018,
  author = {Eastwood, Cian and Williams, Christopher K. I.},
  title = {A Framework for the Quantitative Evaluation of Disentangled Representations},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}""",
    "ridgeway2018": """@inproceedings{ridgeway2018,
  author = {Ridgeway, Karl and Mozer, Michael C.},
  title = {Learning Deep Disentangled Embeddings with the {F}-Statistic Loss},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}""",
    "duan2020": """@inproceedings{duan2020,
  author = {Duan, Sunny and Matthey, Loic and Saraiva, Andre and Watters, Nicholas and
            Burgess, Christopher P. and Lerchner, Alexander and Higgins, Irina},
  title = {Unsupervised Model Selection for Variational Disentangled Representation Learning},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}""",
    "ross2014": """@article{ross2014,
  author = {Ross, Brian C.},
  title = {Mutual Information between Discrete and Continuous Data Sets},
  journal = {PLoS ONE},
  volume = {9},
  pages = {e87357},
  year = {2014}
}""",
    "spearman1910": """@article{spearman1910,
  author = {Spearman, Charles},
  title = {Correlation calculated from faulty data},
  journal = {British Journal of Psychology},
  volume = {3},
  pages = {271--295},
  year = {1910}
}""",
    "brown1910": """@article{brown1910,
  author = {Brown, William},
  title = {Some experimental results in the correlation of mental abilities},
  journal = {British Journal of Psychology},
  volume = {3},
  pages = {296--322},
  year = {1910}
}""",
    "hoeffding1963": """@article{hoeffding1963,
  author = {Hoeffding, Wassily},
  title = {Probability Inequalities for Sums of Bounded Random Variables},
  journal = {Journal of the American Statistical Association},
  volume = {58},
  pages = {13--30},
  year = {1963}
}""",
    "clopper1934": """@article{clopper1934,
  author = {Clopper, Charles J. and Pearson, Egon S.},
  title = {The use of confidence or fiducial limits illustrated in the case of the binomial},
  journal = {Biometrika},
  volume = {26},
  pages = {404--413},
  year = {1934}
}""",
    "guo2017": """@inproceedings{guo2017,
  author = {Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.},
  title = {On Calibration of Modern Neural Networks},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}""",
    "papadopoulos2002": """@inproceedings{papadopoulos2002,
  author = {Papadopoulos, Harris and Proedrou, Kostas and Vovk, Volodya and Gammerman, Alex},
  title = {Inductive Confidence Machines for Regression},
  booktitle = {European Conference on Machine Learning},
  year = {2002}
}""",
    "lei2018": """@article{lei2018,
  author = {Lei, Jing and G'Sell, Max and Rinaldo, Alessandro and Tibshirani, Ryan J. and
            Wasserman, Larry},
  title = {Distribution-Free Predictive Inference for Regression},
  journal = {Journal of the American Statistical Association},
  volume = {113},
  pages = {1094--1111},
  year = {2018}
}""",
    "efron1993": """@book{efron1993,
  author = {Efron, Bradley and Tibshirani, Robert J.},
  title = {An Introduction to the Bootstrap},
  publisher = {Chapman and Hall},
  year = {1993}
}""",
    "nadeau2003": """@article{nadeau2003,
  author = {Nadeau, Claude and Bengio, Yoshua},
  title = {Inference for the Generalization Error},
  journal = {Machine Learning},
  volume = {52},
  pages = {239--281},
  year = {2003}
}""",
    "dempster2020": """@article{dempster2020,
  author = {Dempster, Angus and Petitjean, Fran{\\c{c}}ois and Webb, Geoffrey I.},
  title = {{ROCKET}: exceptionally fast and accurate time series classification using random
           convolutional kernels},
  journal = {Data Mining and Knowledge Discovery},
  volume = {34},
  pages = {1454--1495},
  year = {2020}
}""",
    "naeem2020": """@inproceedings{naeem2020,
  author = {Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and
            Yoo, Jaejun},
  title = {Reliable Fidelity and Diversity Metrics for Generative Models},
  booktitle = {International Conference on Machine Learning},
  year = {2020}
}""",
    "meehan2020": """@inproceedings{meehan2020,
  author = {Meehan, Casey and Chaudhuri, Kamalika and Dasgupta, Sanjoy},
  title = {A Non-Parametric Test to Detect Data-Copying in Generative Models},
  booktitle = {International Conference on Artificial Intelligence and Statistics},
  year = {2020}
}""",
    "craven1978": """@article{craven1978,
  author = {Craven, Peter and Wahba, Grace},
  title = {Smoothing noisy data with spline functions},
  journal = {Numerische Mathematik},
  volume = {31},
  pages = {377--403},
  year = {1978}
}""",
    "ye1998": """@article{ye1998,
  author = {Ye, Jianming},
  title = {On Measuring and Correcting the Effects of Data Mining and Model Selection},
  journal = {Journal of the American Statistical Association},
  volume = {93},
  pages = {120--131},
  year = {1998}
}""",
    "yao2018": """@article{yao2018,
  author = {Yao, Yuling and Vehtari, Aki and Simpson, Daniel and Gelman, Andrew},
  title = {Using Stacking to Average {Bayesian} Predictive Distributions},
  journal = {Bayesian Analysis},
  volume = {13},
  pages = {917--1007},
  year = {2018}
}""",
}
