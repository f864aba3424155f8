"""Plots: real PNGs, small, the same bytes every time, with what they claim to show in them."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from pdx_assets.risk import plots
from pdx_assets.risk.errors import PdxError

MONTHS = [f"2024-{i:02d}" for i in range(1, 13)]
DROP = tuple([step - 0.01 * i for i in range(12)] for step in (0.8, 0.2, 0.2))
RECIPES = [
    f"{strategy} {algorithm}"
    for strategy in ("fixed_window", "fixed_origin", "rolling_window")
    for algorithm in ("logistic_regression", "random_forest", "xgboost", "neural_network")
]


def _book(n: int = 20_000):
    random = np.random.default_rng(0)
    pd = 1 / (1 + np.exp(-random.normal(-3, 0.8, n)))
    return (random.random(n) < pd).astype(int), pd


def _examples():
    label, pd = _book()
    random = np.random.default_rng(1)
    series = {name: list(0.6 + 0.05 * random.random(12)) for name in RECIPES}
    psis = [float(v) for v in np.exp(random.normal(-3.5, 1.2, 40))]
    return {
        "roc": lambda: plots.roc_and_calibration(label, pd, "demo 2024-01"),
        "roc weighted": lambda: plots.roc_and_calibration(label, pd, "demo", np.arange(label.size) % 3 + 0.5),
        "roc few": lambda: plots.roc_and_calibration(label[:60], pd[:60], "demo"),
        "roc one class": lambda: plots.roc_and_calibration(np.zeros(9), pd[:9], "demo"),
        "roc no loans": lambda: plots.roc_and_calibration([], [], "demo"),
        "psi": lambda: plots.psi_bars([f"feature_{i}" for i in range(40)], psis, 0.1, 0.25),
        "psi few": lambda: plots.psi_bars(["a" * 80, "amount_$_x$", "c"], [0.02, 3.0, None], 0.1, 0.25),
        "psi none": lambda: plots.psi_bars([], [], 0.1, 0.25),
        "auc all": lambda: plots.auc_by_month(MONTHS, series, [0.66] * 12),
        "auc gaps": lambda: plots.auc_by_month(MONTHS, {"baseline": [None, 0.6] * 6}),
        "auc unknown": lambda: plots.auc_by_month(MONTHS, {"baseline": [None] * 12}, [None] * 12),
        "drop": lambda: plots.production_drop(MONTHS, {"frozen": DROP, "champion": DROP, "paper": DROP}),
        "drop gaps": lambda: plots.production_drop(MONTHS, {"frozen": ([None, 0.6] * 6, [None, 0.1] * 6, [None] * 12)}),
        "drop unknown": lambda: plots.production_drop(MONTHS, {"frozen": ([None] * 12,) * 3}),
        "drop one": lambda: plots.production_drop(["Q1"], {"frozen": ([0.7], [0.02], [0.03])}),
        "timeline": lambda: plots.champion_timeline(MONTHS, [*RECIPES[:3], None, *RECIPES[4:11], None]),
        "timeline one": lambda: plots.champion_timeline(MONTHS[:1], RECIPES[:1]),
        "timeline none": lambda: plots.champion_timeline([], []),
    }


EXAMPLES = _examples()


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", EXAMPLES)
def test_small_readable_and_the_same_bytes_again(name: str) -> None:
    from PIL import Image

    png = EXAMPLES[name]()
    assert len(png) < 40_000
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    assert picture.width == 640
    assert 150 <= picture.height <= 450
    assert not picture.info.keys() & {"Software", "Creation Time", "date"}
    # Not blank: more than white and one grey.
    assert len(picture.convert("RGB").getcolors(1 << 16)) > 4
    assert EXAMPLES[name]() == png


def _has(png: bytes, color: str) -> bool:
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(pixels - wanted).max(axis=2) <= 10).any())


def test_psi_bars_show_the_state_of_each_feature() -> None:
    quiet = plots.psi_bars(["a"], [0.05], 0.1, 0.25)
    assert _has(quiet, plots.BLUE)
    loud = plots.psi_bars(["a"], [0.9], 0.1, 0.25)
    assert not _has(loud, plots.BLUE)
    assert _has(loud, plots.RED)
    # The largest twenty are shown, in order, whatever the order given.
    names, values = [f"f{i}" for i in range(30)], [i / 100 for i in range(30)]
    shuffled = np.random.default_rng(0).permutation(30)
    first = plots.psi_bars(names, values, 0.1, 0.25)
    assert first == plots.psi_bars([names[i] for i in shuffled], [values[i] for i in shuffled], 0.1, 0.25)
    assert first != plots.psi_bars(names, values, 0.1, 0.25, top=10)


def test_the_same_loans_in_another_order_are_the_same_picture() -> None:
    label, pd = _book(3000)
    order = np.random.default_rng(0).permutation(3000)
    assert plots.roc_and_calibration(label, pd, "x") == plots.roc_and_calibration(label[order], pd[order], "x")
    assert plots.roc_and_calibration(label, pd, "x") != plots.roc_and_calibration(1 - label, pd, "x")


def test_the_champions_line_and_its_changes_are_drawn() -> None:
    series = {"baseline": [0.6] * 12}
    assert not _has_thick_black(plots.auc_by_month(MONTHS, series))
    assert _has_thick_black(plots.auc_by_month(MONTHS, series, [0.65] * 12))
    assert plots.champion_timeline(MONTHS[:2], ["a", "b"]) != plots.champion_timeline(MONTHS[:2], ["a", "a"])


def _has_thick_black(png: bytes) -> bool:
    """Whether some row of pixels is black for at least 100 in a run: a line, not a letter."""
    from PIL import Image

    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return any("1" * 100 in "".join("1" if v < 12 else "0" for v in row) for row in grey)


def test_reigns() -> None:
    assert plots._reigns(["a", "a", None, "b", "a"]) == [(0, 1, "a"), (2, 2, None), (3, 3, "b"), (4, 4, "a")]


def test_lengths_must_agree() -> None:
    for call in (
        lambda: plots.psi_bars(["a"], [], 0.1, 0.25),
        lambda: plots.auc_by_month(MONTHS, {"a": [0.5]}),
        lambda: plots.auc_by_month(MONTHS, {}, [0.5]),
        lambda: plots.champion_timeline(MONTHS, ["a"]),
        lambda: plots.production_drop(MONTHS, {"a": ([0.5] * 12, [0.1] * 12, [0.1])}),
    ):
        with pytest.raises(PdxError):
            call()


def test_pyplot_is_never_imported() -> None:
    """Its figure manager is global state: figures pile up and threads collide."""
    code = (
        "import sys; from pdx_assets.risk import plots;"
        "plots.champion_timeline(['2024-01'], ['a']); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
