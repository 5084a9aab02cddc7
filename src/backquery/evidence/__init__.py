"""What supports a label and what speaks against it, as statistics that are then tested by intervention."""

from backquery.evidence.controls import ControlEvidence, control_evidence, held_of, mean_likeness
from backquery.evidence.interventions import Intervention
from backquery.evidence.measure import Evidence, measure_evidence
from backquery.evidence.verdicts import AGAINST, INSENSITIVE, NEVER_INKED, SUPPORT, UNCLEAR, VERDICTS

__all__ = [
    "AGAINST", "INSENSITIVE", "NEVER_INKED", "SUPPORT", "UNCLEAR", "VERDICTS", "ControlEvidence", "Evidence",
    "Intervention", "control_evidence", "held_of", "mean_likeness", "measure_evidence",
]  # fmt: skip
