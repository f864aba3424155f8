"""Content hashes: every changed cell changes them, layout does not; seeds from names."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.hashing import canonical_json, content_sha256, document_sha256
from pdx_assets.risk.seeds import seed_from

TYPES = {
    "text": (pl.String, st.text(max_size=4)),
    "count": (pl.Int64, st.integers(min_value=-(2**63), max_value=2**63 - 1)),
    "small": (pl.Int8, st.integers(min_value=-128, max_value=127)),
    "number": (pl.Float32, st.floats(width=32, allow_nan=False)),
    "day": (pl.Date, st.dates()),
    "flag": (pl.Boolean, st.booleans()),
}
ROWS = st.lists(st.fixed_dictionaries({n: st.none() | values for n, (_, values) in TYPES.items()}), max_size=8)


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: dtype for name, (dtype, _) in TYPES.items()})


@settings(max_examples=60)
@given(ROWS.filter(len), st.data())
def test_any_changed_cell_changes_the_hash(rows: list[dict], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(list(TYPES)))
    value = data.draw((st.none() | TYPES[name][1]).filter(lambda v: v != rows[row][name]))
    changed = [dict(r) for r in rows]
    changed[row][name] = value
    assert content_sha256(frame(changed)) != content_sha256(frame(rows))


@settings(max_examples=40)
@given(ROWS, st.data())
def test_layout_does_not_count(rows: list[dict], data: st.DataObject) -> None:
    whole = frame(rows)
    expected = content_sha256(whole)
    cut = data.draw(st.integers(0, len(rows)))
    chunked = pl.concat([whole[:cut], whole[cut:]], rechunk=False)
    assert content_sha256(chunked) == expected
    sliced = pl.concat([whole, whole, whole])[len(rows) : 2 * len(rows)]
    assert content_sha256(sliced) == expected
    columns = data.draw(st.permutations(list(TYPES)))
    assert content_sha256(whole.select(columns)) == expected


def test_what_lies_under_a_null_is_not_hashed() -> None:
    import pyarrow as pa

    def masked(under: int) -> pl.DataFrame:
        valid = pa.py_buffer(bytes([0b101]))
        values = pa.py_buffer(b"".join(v.to_bytes(8, "little") for v in (1, under, 3)))
        return pl.DataFrame({"x": pl.from_arrow(pa.Array.from_buffers(pa.int64(), 3, [valid, values]))})

    assert masked(7).equals(masked(8))
    assert content_sha256(masked(7)) == content_sha256(masked(8))


@settings(max_examples=25)
@given(ROWS.filter(lambda rows: len(rows) > 1))
def test_row_order_counts(rows: list[dict]) -> None:
    turned = rows[::-1]
    assert (content_sha256(frame(turned)) == content_sha256(frame(rows))) == (turned == rows)


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"x": ["ab", "c"]}),
        pl.DataFrame({"x": ["a", None]}),
        pl.DataFrame({"x": ["a", ""]}),
        pl.DataFrame({"y": ["a", "bc"]}),
        pl.DataFrame({"x": ["a", "bc", ""]}),
        pl.DataFrame({"x": ["a", "bc"], "y": [None, None]}, schema={"x": pl.String, "y": pl.String}),
        pl.DataFrame(schema={"x": pl.String}),
    ],
)
def test_near_misses(other: pl.DataFrame) -> None:
    assert content_sha256(other) != content_sha256(pl.DataFrame({"x": ["a", "bc"]}))


def test_dtype_counts() -> None:
    values = pl.DataFrame({"x": [0, 1]})
    dtypes = (pl.Int8, pl.Int32, pl.Int64, pl.UInt8, pl.Float32, pl.Float64, pl.Boolean, pl.String)
    hashes = {content_sha256(values.cast(dtype)) for dtype in dtypes}
    assert len(hashes) == len(dtypes)
    empty = {content_sha256(values.clear().cast(dtype)) for dtype in dtypes}
    assert len(empty) == len(dtypes)


def test_frozen_value() -> None:
    """Decisions hold such hashes for good: this one must never move, whatever is upgraded."""
    known = pl.DataFrame(
        {
            "loan_id": ["a", "é", None],
            "label": pl.Series([1, None, 0], dtype=pl.Int8),
            "pd": pl.Series([0.25, None, float("nan")], dtype=pl.Float32),
            "day": [date(2016, 2, 29), None, date(1969, 12, 31)],
            "flag": [True, None, False],
        }
    )
    assert content_sha256(known) == "74cb5c18c5d9c85aebea1d1ea753db243b1ff8e7843f77e1a49b1207a6dc24f9"


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[1], [2]]),
        pl.Series([{"a": 1}]),
        pl.Series([Decimal("1.5"), None]),
        pl.Series([timedelta(days=1)]),
        pl.Series(["a"], dtype=pl.Categorical),
    ],
    ids=lambda c: str(c.dtype),
)
def test_dtypes_without_a_content_hash(column: pl.Series) -> None:
    """Incident: a decimal column was hashed by the addresses of its Python objects, differently each time."""
    with pytest.raises(TypeError, match=r"'x' .*no content hash"):
        content_sha256(pl.DataFrame({"x": column}))


def test_canonical_json() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None, "é"]}) == '{"a":[1.5,null,"é"],"b":1}'.encode()
    assert document_sha256({"a": 1, "b": 2}) == document_sha256({"b": 2, "a": 1})
    assert document_sha256({"a": [1, 2]}) != document_sha256({"a": [2, 1]})
    assert document_sha256({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"auc": float("nan")})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_the_document(value: float) -> None:
    import json

    assert json.loads(canonical_json([value])) == [value]


def test_seeds_come_from_names() -> None:
    names = ("demo", "2024-01", "rolling_window", "xgboost", 0)
    assert seed_from(*names) == seed_from(*names) == 764160235
    assert seed_from("a", "bc") != seed_from("ab", "c")
    drawn = {seed_from("demo", month, seed) for month in range(200) for seed in range(20)}
    assert len(drawn) == 4000
    assert all(0 <= seed < 2**31 for seed in drawn)
    assert 0.45 < sum(seed < 2**30 for seed in drawn) / 4000 < 0.55


def test_seeds_and_hashes_do_not_depend_on_the_process() -> None:
    code = "from pdx_assets.risk.seeds import seed_from; from pdx_assets.risk.hashing import document_sha256; "
    code += "print(seed_from('demo', '2024-01'), document_sha256({'x': [1, 'y'], 'a': None}))"
    found = {
        subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    }
    assert found == {f"{seed_from('demo', '2024-01')} {document_sha256({'x': [1, 'y'], 'a': None})}\n"}
