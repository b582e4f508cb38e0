"""Figures: each module makes one kind as inline SVG. The only importers of altair."""
