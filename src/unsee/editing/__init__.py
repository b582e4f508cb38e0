"""Deleting facts one at a time, each from the same start; several are trained side by side where that gives the same.

`edit_each` is the way in. `isolation.py` proves that edits do not touch each other; the other modules train groups of facts in
one batched pass: `side_by_side.py` says when and with whom, `groups.py` trains a group, `stacked_adapters.py` gives every row
its own fact's adapter, `joint_batches.py` lays the rows out, `fixed_layers.py` leaves out what never changes.
"""

from unsee.editing.edits import Edited, edit_each

__all__ = ["Edited", "edit_each"]
