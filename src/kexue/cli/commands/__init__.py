"""One file per verb."""

from kexue.cli.commands import (
    convert,
    demo,
    doctor,
    evaluate,
    export,
    extract,
    generate,
    graph,
    info,
    pretrain,
    serve,
    study,
    suggest,
    train,
)

__all__ = [
    "convert",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "extract",
    "generate",
    "graph",
    "info",
    "pretrain",
    "serve",
    "study",
    "suggest",
    "train",
]
