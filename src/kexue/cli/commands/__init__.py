"""One file per verb."""

from kexue.cli.commands import (
    bench,
    convert,
    demo,
    doctor,
    evaluate,
    extract,
    generate,
    info,
    pretrain,
    serve,
    study,
    train,
)

__all__ = [
    "bench",
    "convert",
    "demo",
    "doctor",
    "evaluate",
    "extract",
    "generate",
    "info",
    "pretrain",
    "serve",
    "study",
    "train",
]
