"""The blend: the mean log-odds of a month's challengers of one strategy, as one bundle like every other.

Nothing is learned here, so nothing can be overfitted: equal weights, in log-odds, where a member that is sure counts
for more than one that is not. A weighted combination would have to be fitted on loans its members have not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pdx_assets.risk.bundle import GIVEN, Bundle, combined_manifest, held_against, seal
from pdx_assets.risk.errors import BundleError
from pdx_assets.risk.models.base import sigmoid
from pdx_assets.risk.models.log_odds import include, log_odds, log_odds_in
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.onnx_graph import Graph, serialize

BLEND = "blend"
CLIP = 1e-4
"""A member's PD enters no nearer to 0 or 1 than this: a leaf without a bad must not outvote all other members."""

FROM_MEMBERS = ("last_cohort", "last_event")
"""Manifest keys that the members decide: the caller gives the rest of :data:`pdx_assets.risk.bundle.GIVEN`."""


def mean_log_odds(pds: Sequence[np.ndarray]) -> np.ndarray:
    """float32 [n] PDs: the mean over members of the log-odds of their PDs, each float32 [n].

    The geometric mean of the odds, the logarithmic opinion pool of equal weights. Source: Genest and Zidek 1986,
    doi:10.1214/ss/1177013825; that simple combinations are hard to beat: Clemen 1989,
    doi:10.1016/0169-2070(89)90012-5.
    """
    total = log_odds(pds[0], CLIP)
    # One after the other, as the graph does: a sum in another order can differ in the last bit.
    for pd in pds[1:]:
        total = total + log_odds(pd, CLIP)
    return sigmoid(total / len(pds))


def build_blend(members: Sequence[Bundle], *, manifest: Mapping[str, Any], parity: Sample | LoanMatrix) -> Bundle:
    """One bundle of several, held against the numpy mean of what the members themselves say.

    Args:
        members: at least two, of one portfolio and with the same inputs; their order is the graph's.
        manifest: as for ``build_bundle``, less ``last_cohort`` and ``last_event``, which are the members' latest.
        parity: loans to compare graph and mean on; with labels also by AUC.

    Raises:
        BundleError: members that do not go together, or a manifest that lacks a key or has one it must not have.
        ParityError: as of ``build_bundle``.
    """
    _require_matching(members)
    graph = Graph()
    parts = [include(graph, member.files["model.onnx"], f"member_{i}_") for i, member in enumerate(members)]
    total = log_odds_in(graph, parts[0], CLIP)
    for part in parts[1:]:
        total = graph.add("Add", total, log_odds_in(graph, part, CLIP))
    pd = graph.pd_from_log_odds(graph.add("Div", total, graph.constant(np.array(float(len(members))))))
    first = members[0]
    content = serialize(graph, pd, numbers=len(first.number_names), categories=len(first.category_names))
    added = {
        "algorithm": BLEND,
        "params": {"clip": CLIP},
        "inputs": first.manifest["inputs"],
        "members": [_member(member) for member in members],
        "selected": list(dict.fromkeys(name for member in members for name in member.manifest["selected"])),
        "importances": _mean_importances(members),
        **{key: max(member.manifest[key] for member in members) for key in FROM_MEMBERS},
    }
    given = [key for key in GIVEN if key not in FROM_MEMBERS]
    bundle = seal(combined_manifest(manifest, added, required=given), content)
    matrix = parity.matrix if isinstance(parity, Sample) else parity
    expected = mean_log_odds([member.predict_pd(matrix) for member in members])
    return held_against(bundle, expected, parity, what="mean log-odds of its members")


def _require_matching(members: Sequence[Bundle]) -> None:
    digests = [member.digest for member in members]
    if len(set(digests)) < max(2, len(digests)):
        raise BundleError(
            f"A blend of {[digest[:12] for digest in digests]}.", expected="at least two members, each of them once"
        )
    for member in members:
        # Of stored bytes no more may be believed than what the digest vouches for.
        Bundle.from_files(member.files, member.digest)
    first = members[0].manifest
    for member in members[1:]:
        for key in ("portfolio", "inputs"):
            if member.manifest[key] != first[key]:
                raise BundleError(
                    f"Members {digests[0][:12]} and {member.digest[:12]} of a blend differ in {key}: "
                    f"{first[key]!r} and {member.manifest[key]!r}.",
                    expected="models of one portfolio with the same inputs in the same order",
                    remedy="blend the challengers of one production month",
                )


def _member(bundle: Bundle) -> dict[str, Any]:
    kept = ("algorithm", "params", "trained_for", "window_sha256", "seed", "preprocessing", "library_versions")
    return {"bundle_sha256": bundle.digest, **{key: bundle.manifest.get(key) for key in kept}}


def _mean_importances(members: Sequence[Bundle]) -> dict[str, float]:
    """Mean share of each model input over the members, largest first; 0 where a member does not use it."""
    total: dict[str, float] = {}
    for member in members:
        for name, share in member.manifest["importances"].items():
            total[name] = total.get(name, 0.0) + share / len(members)
    return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))
