"""What is certain of a model: how images are read, and which answers no image can give.

Everything here is proved by bounds that hold for the model in exact arithmetic and for the program that runs it,
rounding and all. What is not known of a model is not proved, and named.
"""

from backquery.proofs.bounded import Bounds, Provable, Prover
from backquery.proofs.certificates import Certificates, certify
from backquery.proofs.constraints import Constraints
from backquery.proofs.impossible import proved_impossible

__all__ = ["Bounds", "Certificates", "Constraints", "Provable", "Prover", "certify", "proved_impossible"]
