"""What is compared: no regulariser, R-Drop by three divergences and with three weights, VAT, FGM."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "R-Drop, sigmoid": {"name": "rdrop", "divergence": "sigmoid"},
    "R-Drop, sigmoid, alpha 1": {"name": "rdrop", "divergence": "sigmoid", "alpha": 1.0},
    "R-Drop, sigmoid, alpha 4": {"name": "rdrop", "divergence": "sigmoid", "alpha": 4.0},
    "R-Drop, softmax, alpha 1": {"name": "rdrop", "divergence": "softmax", "alpha": 1.0},
    "R-Drop, squares, alpha 1": {"name": "rdrop", "divergence": "squared", "alpha": 1.0},
    "VAT": {"name": "vat"},
    "FGM": {"name": "fgm"},
}
"""By the name they have in tables; values as in a recipe, with the defaults where nothing is said."""

NONE = "none"
