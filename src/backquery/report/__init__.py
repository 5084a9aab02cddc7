"""One HTML file that says what a network is, what it sees, what it relies on, and how far to believe it."""

from backquery.report.making import SECTIONS, check_report_path, write_report

__all__ = ["SECTIONS", "check_report_path", "write_report"]
