"""Writers: preference pairs as files that trainers read, one row function a format."""

from pref_argilla.exports.card import AgreementFigure, ExportSummary, SourceFigure
from pref_argilla.exports.formats import FORMATS, Format
from pref_argilla.exports.lengths import Lengths, Spread
from pref_argilla.exports.manifest import ExportedFile
from pref_argilla.exports.rows import PairRow, row_order
from pref_argilla.exports.writing import ExportResult, write_export

__all__ = [
    "FORMATS",
    "AgreementFigure",
    "ExportResult",
    "ExportSummary",
    "ExportedFile",
    "Format",
    "Lengths",
    "PairRow",
    "SourceFigure",
    "Spread",
    "row_order",
    "write_export",
]
