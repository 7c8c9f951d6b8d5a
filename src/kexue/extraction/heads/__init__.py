"""Heads: hidden states to labelled spans and what joins them. `HEADS` is the one table of their names."""

from kexue.extraction.heads.casrel import CasRel
from kexue.extraction.heads.entities import BIO, CRF, GlobalPointerEntities
from kexue.extraction.heads.events import EventLinker
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.heads.head import Head
from kexue.extraction.heads.tplinker import TPLinker, TPLinkerPlus

HEADS: dict[str, type[Head]] = {
    "gplinker": GPLinker,
    "casrel": CasRel,
    "tplinker": TPLinker,
    "tplinker_plus": TPLinkerPlus,
    "global_pointer": GlobalPointerEntities,
    "bio": BIO,
    "crf": CRF,
    "events": EventLinker,
}
