"""Small files and folders of the home, complete or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pdx_assets.risk.errors import HomeError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write or replace a file so that a reader, or a kill, never meets half of it; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    scratch.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    scratch.replace(path)


def write_folder_whole(folder: Path, files: Mapping[str, bytes], *, mark: str) -> None:
    """Write or replace a folder of files, all of them or none; made beside it first, then renamed.

    Args:
        mark: name of the file by which a folder written before is told from somebody else's. That too must hold no
            folder, and no file of another ending than the new ones.

    Raises:
        HomeError: the folder holds something that would be lost.
    """
    folder = folder.absolute()
    endings = {Path(name).suffix for name in files}
    others = [p.name for p in folder.iterdir() if p.is_dir() or p.suffix not in endings] if folder.exists() else []
    if others or (folder.exists() and any(folder.iterdir()) and not (folder / mark).exists()):
        held = ", ".join(sorted(others)[:3]) or "files of somebody else"
        raise HomeError(
            f"{folder} holds {held}, which would be lost.",
            expected="a folder that is not there yet, an empty one, or one that the same command made",
            remedy="name another folder",
        )
    scratch, former = (folder.with_name(f".{folder.name}.{os.getpid()}.{what}") for what in ("new", "old"))
    scratch.mkdir(parents=True)
    try:
        for name, content in files.items():
            (scratch / name).write_bytes(content)
        if folder.exists():
            folder.replace(former)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)
