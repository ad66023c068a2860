"""Four-vectors: records of coordinates with the behaviours of the `vector` library, whose numbers they give.

Only the names below can be asked for: they read a vector or make a new one, and nothing else.
"""

from collections.abc import Iterable
from typing import Any

import awkward as ak

from delivery.engine.forms import general, normal
from delivery.engine.values import Column, to_awkward

NAME = "Momentum4D"

PROPERTIES = frozenset(
    (
        "x", "y", "z", "t", "px", "py", "pz", "e", "e2", "E2", "energy2", "t2", "E", "energy", "m", "M", "mass",
        "m2", "M2", "mass2", "pt", "pt2", "p", "p2", "eta", "theta", "phi", "rho", "rho2", "mag", "mag2", "tau",
        "tau2", "beta", "gamma", "rapidity", "costheta", "cottheta", "et", "Et", "et2", "Et2",
        "transverse_energy", "transverse_energy2", "mt", "Mt", "mt2", "Mt2", "transverse_mass",
        "transverse_mass2", "pseudorapidity", "neg2D", "neg3D", "neg4D",
    )
)  # fmt: skip
METHODS = frozenset(
    (
        "deltaphi", "deltaeta", "deltaR", "deltaR2", "deltaRapidityPhi", "deltaRapidityPhi2", "deltaangle",
        "add", "subtract", "dot", "cross", "unit", "scale", "scale2D", "scale3D", "scale4D", "boost",
        "boost_p4", "boost_beta3", "boostCM_of", "boostCM_of_p4", "boostCM_of_beta3", "boostX", "boostY",
        "boostZ", "rotateX", "rotateY", "rotateZ", "rotate_axis", "to_beta3", "is_timelike", "is_spacelike",
        "is_lightlike", "is_parallel", "is_antiparallel", "is_perpendicular", "like", "equal", "not_equal",
        "isclose", "to_xy", "to_rhophi", "to_xyz", "to_xytheta", "to_xyeta", "to_rhophiz", "to_rhophitheta",
        "to_rhophieta", "to_xyzt", "to_xyztau", "to_xythetat", "to_xythetatau", "to_xyetat", "to_xyetatau",
        "to_rhophizt", "to_rhophiztau", "to_rhophithetat", "to_rhophithetatau", "to_rhophietat",
        "to_rhophietatau", "to_pxpy", "to_ptphi", "to_pxpypz", "to_pxpytheta", "to_pxpyeta", "to_ptphipz",
        "to_ptphitheta", "to_ptphieta", "to_pxpypzenergy", "to_pxpypzmass", "to_pxpythetaenergy",
        "to_pxpythetamass", "to_pxpyetaenergy", "to_pxpyetamass", "to_ptphipzenergy", "to_ptphipzmass",
        "to_ptphithetaenergy", "to_ptphithetamass", "to_ptphietaenergy", "to_ptphietamass", "to_Vector2D",
        "to_Vector3D", "to_Vector4D", "to_2D", "to_3D", "to_4D",
    )
)  # fmt: skip


def behavior_of(arrays: Iterable[Any]) -> Any:
    """The behaviours that one of the arrays carries, None if none does."""
    return next((array.behavior for array in arrays if array.behavior is not None), None)


def is_vector(column: Column) -> bool:
    """Whether the column's items are records that `vector` knows."""
    if not isinstance(column, ak.Array):
        return False
    layout = column.layout
    while not layout.is_record:
        if layout.is_numpy or layout.is_unknown or layout.is_union:
            return False
        layout = layout.content
    return str(layout.parameter("__record__") or "").startswith(("Momentum", "Vector"))


def named(_: str, records: Column) -> Column:
    """Records of coordinates as four-vectors."""
    from vector.backends.awkward import behavior

    array = to_awkward(records)
    vectors: Column = ak.with_name(array, NAME, behavior={**(array.behavior or {}), **behavior})
    return vectors


def attribute(name: str, vectors: Any) -> Column:
    """A property of four-vectors, one of `PROPERTIES`."""
    return normal(getattr(vectors, name))


def method(name: str, vectors: Any, *arguments: Any) -> Column:
    """A method of four-vectors, one of `METHODS`."""
    return normal(getattr(vectors, name)(*(general(argument) for argument in arguments)))
