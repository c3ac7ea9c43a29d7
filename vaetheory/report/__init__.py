"""Results as text, JSON, JUnit's XML and one page of HTML; one form a file."""

from vaetheory.report.document import (
    as_json,
    read_document,
    read_results,
)
from vaetheory.report.text import details, line, summary

__all__ = [
    "as_json",
    "details",
    "line",
    "read_document",
    "read_results",
    "summary",
]
