"""Results of a run as text, JSON, JUnit XML and an HTML page; one format a file."""

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
