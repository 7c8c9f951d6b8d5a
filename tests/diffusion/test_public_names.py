"""`kexue.diffusion` names its parts in one place, and needs nothing but torch for them."""

from __future__ import annotations

import subprocess
import sys

import kexue.diffusion


def test_every_name_is_there_once():
    assert len(set(kexue.diffusion.__all__)) == len(kexue.diffusion.__all__)
    assert all(hasattr(kexue.diffusion, name) for name in kexue.diffusion.__all__)


def test_neither_networks_nor_their_libraries_are_loaded():
    code = "import sys, kexue.diffusion; sys.exit(bool({'diffusers', 'transformers', 'PIL'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
