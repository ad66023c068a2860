"""Unfolded spectra and Wilson coefficients as tables."""

from inference.extensions.unfolding import Unfolding
from inference.extensions.valleys import Piece
from inference.extensions.wilson import EftFit
from inference.tables import Table


def spectrum_table(result: Unfolding) -> Table:
    """One row per generated bin."""
    columns = ("bin", "from", "to", "truth", "unfolded", "uncertainty", "bias", "closure")
    rows = tuple(
        zip(
            result.labels,
            result.edges[:-1],
            result.edges[1:],
            result.truth,
            result.yields,
            result.uncertainties,
            result.bias,
            result.closure,
            strict=True,
        )
    )
    how = "no regularisation" if result.regularisation == "none" else f"{result.regularisation}, τ = {result.tau:.4g}"
    return Table(f"Unfolded spectrum {result.extension} ({how})", columns, rows)


def resolution_table(result: Unfolding) -> Table:
    """One row per direction that the response can tell apart, the best determined first."""
    rows = tuple(zip(result.resolution.singular_values, result.resolution.components, strict=True))
    return Table("Singular values of the whitened response", ("singular value", "data along it"), rows)


def coefficient_table(result: EftFit) -> Table:
    """One row per coefficient: best fit, Hessian's uncertainty, intervals in pieces."""
    rows = tuple(
        (each.label, each.bestfit, each.uncertainty, _pieces(each.at_68), _pieces(each.at_95))
        for each in result.coefficients
    )
    return Table("Wilson coefficients", ("coefficient", "best fit", "Hessian ±", "68.27 %", "95 %"), rows)


def minima_table(result: EftFit) -> Table:
    """One row per minimum, the lowest first, and the Standard Model's."""
    labels = tuple(each.label for each in result.coefficients)
    rows: list[tuple[str | float | None, ...]] = [
        (f"minimum {place}", *valley.values, valley.twice_rise) for place, valley in enumerate(result.minima, 1)
    ]
    rows.append(("Standard Model", *(0.0 for _ in labels), result.standard_model))
    return Table("Minima", ("", *labels, "2 Δ log L"), tuple(rows))


def basis_table(result: EftFit) -> Table:
    """One row per extension."""
    rows = tuple((each.extension, each.condition) for each in result.bases)
    return Table("Bases", ("extension", "condition number"), rows)


def _pieces(pieces: tuple[Piece, ...]) -> str:
    """Such as ``[-1.2, 0.3] and above 2.1``."""
    words = []
    for piece in pieces:
        if piece.lower is None:
            words.append("everywhere" if piece.upper is None else f"below {piece.upper:.4g}")
        else:
            words.append(
                f"above {piece.lower:.4g}" if piece.upper is None else f"[{piece.lower:.4g}, {piece.upper:.4g}]"
            )
    return " and ".join(words) or "none"
