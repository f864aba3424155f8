"""Weights of a sample drawn by outcome: how many loans of the book each sampled loan stands for.

A weight undoes the drawing and says nothing that the whole book would not say: it goes where sample weights
go (training, metrics) and is never a feature.
"""

from __future__ import annotations

from fnmatch import fnmatch

import polars as pl

from pdx_assets.risk import columns
from pdx_assets.risk.spec import PortfolioSpec


def covers(pattern: str, name: str) -> bool:
    """Whether a file of a tape is one of the samples: its name, without the archive's, is asked."""
    return fnmatch(name.rsplit("/", 1)[-1], pattern)


def sampling_weights(spec: PortfolioSpec, records: pl.DataFrame, files: pl.Series) -> pl.Series:
    """Weight of each row (Float64); null where the declared column holds a value that has none.

    Args:
        records: rows with the tape's columns as received.
        files: name of the file each row comes from; rows of files that the rule does not cover weigh 1.
    """
    rule = spec.sampling_weights
    assert rule is not None
    text = records[rule.column] if rule.column in records.columns else pl.Series([None], dtype=pl.String)
    if text.len() != records.height:
        text = text.new_from_index(0, records.height)
    value = columns.texts(text, spec.columns[rule.column])
    names = {key.strip(): weight for key, weight in rule.values.items()}
    weights = value.replace_strict(list(names), list(names.values()), default=None, return_dtype=pl.Float64)
    if rule.files is None or not records.height:
        return weights.alias("weight")
    known = {name: covers(rule.files, str(name)) for name in files.unique()}
    covered = files.replace_strict(list(known), list(known.values()), return_dtype=pl.Boolean)
    return weights.zip_with(covered, pl.Series([1.0]).new_from_index(0, records.height)).alias("weight")
