"""What is compared: every head on triples, and on entities alone, with the choices that the articles discuss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kexue.studies.heads.data import MERGED, ROLES, TYPED


@dataclass(frozen=True)
class Contender:
    """A name, the keys of a recipe that make it, and what the data show it of the types of entities."""

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    view: str = TYPED


RELATIONS = (
    Contender("CasRel", {"head": "casrel"}),
    Contender("CasRel, su2020", {"head": "casrel", "casrel": "su2020"}),
    Contender("CasRel, wei2020", {"head": "casrel", "casrel": "wei2020"}),
    Contender("TPLinker", {"head": "tplinker"}),
    Contender("TPLinker-plus", {"head": "tplinker_plus"}),
    Contender("GPLinker"),
    Contender("GPLinker, standard", {"efficient": False}),
    Contender("GPLinker, links without positions", {"link_rotary": False}),
    Contender("GPLinker, standard, links without positions", {"efficient": False, "link_rotary": False}),
    Contender("GPLinker, spans without positions", {"span_rotary": False}),
    Contender("GPLinker, subject and object apart", view=ROLES),
    Contender("GPLinker, subject and object merged", view=MERGED),
)
"""The first GPLinker is efficient, with positions in spans and links: what `kexue train` takes by itself."""
MAIN_RELATIONS = RELATIONS[1:2] + RELATIONS[3:8]
"""Those that differ most, for sets on which all would take too long."""

ENTITIES = (
    Contender("GlobalPointer", {"head": "global_pointer"}),
    Contender("GlobalPointer, without positions", {"head": "global_pointer", "span_rotary": False}),
    Contender("GlobalPointer, standard", {"head": "global_pointer", "efficient": False}),
    Contender(
        "GlobalPointer, standard, without positions",
        {"head": "global_pointer", "efficient": False, "span_rotary": False},
    ),
    Contender("BIO", {"head": "bio"}),
    Contender("CRF", {"head": "crf"}),
)
