"""Variants of one's own data judged by people: the page, what they decided, how far they agree, and what is kept."""

from __future__ import annotations

from unsee.review.agreement import Agreement, agreement
from unsee.review.decisions import REASONS, Decision, extension_digest, read_decisions
from unsee.review.filtering import Filtered, filter_extension
from unsee.review.page import write_page
from unsee.review.server import ReviewServer

__all__ = [
    "REASONS",
    "Agreement",
    "Decision",
    "Filtered",
    "ReviewServer",
    "agreement",
    "extension_digest",
    "filter_extension",
    "read_decisions",
    "write_page",
]
