"""Noise laws: what is added to the locations before the argmax is taken."""

from kexue.distributions.noise.bounded import Triangular, Uniform
from kexue.distributions.noise.custom import CustomNoise
from kexue.distributions.noise.exponential import Exponential, Laplace, NegatedExponential
from kexue.distributions.noise.gumbel import Gumbel
from kexue.distributions.noise.law import Noise
from kexue.distributions.noise.logistic import Logistic
from kexue.distributions.noise.normal import Normal
from kexue.distributions.noise.student import Cauchy, StudentT

NOISES: dict[str, type[Noise]] = {
    "gumbel": Gumbel,
    "normal": Normal,
    "logistic": Logistic,
    "laplace": Laplace,
    "exponential": Exponential,
    "negated_exponential": NegatedExponential,
    "uniform": Uniform,
    "triangular": Triangular,
    "student_t": StudentT,
    "cauchy": Cauchy,
}
"""Every law that needs no function of the user, by its name; each is made without arguments."""

__all__ = [
    "NOISES",
    "Cauchy",
    "CustomNoise",
    "Exponential",
    "Gumbel",
    "Laplace",
    "Logistic",
    "NegatedExponential",
    "Noise",
    "Normal",
    "StudentT",
    "Triangular",
    "Uniform",
]
