"""One HTML file that says what a network is, what it sees, what it relies on, and how far to believe it."""

from backquery.report.making import SECTIONS, check_report_path, write_report
from backquery.report.words import Words

__all__ = ["SECTIONS", "Words", "check_report_path", "write_report"]
