"""A look at annotated data before anyone trains on it: what is wrong, where, how often, and what to do.

`examine` is pure and returns a `Diagnosis`; `render` prints one. A check is a function over one document or
over all; the table of them is in `examine`.
"""

from kexue.extraction.doctor.examine import examine
from kexue.extraction.doctor.finding import Diagnosis, Distribution, Example, Finding, LabelCount
from kexue.extraction.doctor.view import render

__all__ = ["Diagnosis", "Distribution", "Example", "Finding", "LabelCount", "examine", "render"]
