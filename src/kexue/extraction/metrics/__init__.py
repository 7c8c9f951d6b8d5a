"""Scores of predicted documents: `evaluate`, the table on a terminal, the page of errors, calibration."""

from __future__ import annotations

from kexue.extraction.metrics.calibration_error import (
    Calibration,
    brier_score,
    calibration,
    expected_calibration_error,
    reliability_table,
)
from kexue.extraction.metrics.evaluation import Evaluation, evaluate
from kexue.extraction.metrics.page import page
from kexue.extraction.metrics.table import render

__all__ = [
    "Calibration",
    "Evaluation",
    "brier_score",
    "calibration",
    "evaluate",
    "expected_calibration_error",
    "page",
    "reliability_table",
    "render",
]
