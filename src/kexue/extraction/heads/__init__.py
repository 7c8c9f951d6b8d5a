"""Heads: hidden states to labelled spans and triples. `HEADS` is the one table of their names."""

from kexue.extraction.heads.gplinker import GPLinker

HEADS = {"gplinker": GPLinker}
