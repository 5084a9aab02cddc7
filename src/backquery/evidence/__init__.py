"""What supports a label and what speaks against it, as statistics that are then tested by intervention."""

from backquery.evidence.controls import ControlEvidence, control_evidence, held_of, mean_likeness
from backquery.evidence.image import ImageEvidence, Trial, image_evidence
from backquery.evidence.interventions import Intervention
from backquery.evidence.measure import Evidence, caution, measure_evidence
from backquery.evidence.verdicts import AGAINST, INSENSITIVE, NEVER_INKED, SUPPORT, UNCLEAR, VERDICTS

__all__ = [
    "AGAINST", "INSENSITIVE", "NEVER_INKED", "SUPPORT", "UNCLEAR", "VERDICTS", "ControlEvidence", "Evidence",
    "ImageEvidence", "Intervention", "Trial", "caution", "control_evidence", "held_of", "image_evidence",
    "mean_likeness", "measure_evidence",
]  # fmt: skip
