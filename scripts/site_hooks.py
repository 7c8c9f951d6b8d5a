"""What the site does beside its plugins.

Equations become MathML when it is built, so no script has to draw them; and a line of Chinese that goes on in the next
one does so without the space that Markdown would put there.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

BLOCK = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)


CHINESE = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u201c\u201d"
BROKEN = re.compile(f"(?<=[{CHINESE}])\n *(?=[{CHINESE}])")


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Lines of Chinese joined."""
    return BROKEN.sub("", markdown)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Every equation of a page as MathML."""
    html = BLOCK.sub(lambda found: f'<div class="math">{convert(unescape(found[1]), display="block")}</div>', html)
    return INLINE.sub(lambda found: convert(unescape(found[1])), html)
