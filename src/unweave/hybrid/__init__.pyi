from ._fit import fit_hybrid as fit_hybrid
from ._fit import fit_neural as fit_neural
from ._fit import HybridFit as HybridFit
from ._net import scaled_net as scaled_net
from ._net import ScaledNet as ScaledNet
from ._neural import neural_system as neural_system
from ._neural import NeuralField as NeuralField
