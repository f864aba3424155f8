"""Content hashes: the same values give the same hash, whatever wrote or holds them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import polars as pl


def content_sha256(frame: pl.DataFrame) -> str:
    """Hash of a frame's values, names and dtypes; row order counts, memory layout does not.

    Built from each column's validity and values rather than from a file's bytes, so that it outlives
    a change of the Parquet or Arrow writer.

    Raises:
        TypeError: a column's dtype has no content hash.
    """
    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        column = frame[name].rechunk()
        digest.update(f"{name}\x1f{column.dtype}\x1f{len(column)}\x1f".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            filled = column.fill_null("")
            digest.update(filled.str.len_bytes().to_numpy().tobytes())
            digest.update("".join(filled.to_list()).encode())
        elif column.dtype == pl.Date:
            digest.update(column.to_physical().fill_null(0).to_numpy().tobytes())
        elif column.dtype.is_integer() or column.dtype.is_float() or column.dtype == pl.Boolean:
            zero = False if column.dtype == pl.Boolean else 0
            digest.update(column.fill_null(zero).to_numpy().tobytes())
        else:
            raise TypeError(f"column {name!r} has dtype {column.dtype}, which has no content hash")
    return digest.hexdigest()


def canonical_json(document: Any) -> bytes:
    """JSON with one spelling only, so that it can be hashed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def document_sha256(document: Any) -> str:
    """Hash of a JSON document's canonical spelling."""
    return hashlib.sha256(canonical_json(document)).hexdigest()
