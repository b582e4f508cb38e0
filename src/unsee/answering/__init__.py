"""Run a model over samples, once per view, and write down what it said.

`records.py` holds `answer`, `views.py` says what a view and a protocol are, `strict.py`, `official.py` and `lens.py` are one
protocol each, `protocols.py` finds them by name, `shots.py` says who is shown in few-shot prompts, `engine.py` runs views in
packed passes, `passes.py` says how much goes through the network at once, `sampling.py` draws random responses, `store.py`
keeps finished parts so that an interrupted call goes on.
"""

from unsee.answering.protocols import load_protocol
from unsee.answering.records import answer
from unsee.answering.shots import draw_shots
from unsee.answering.views import Outcome, Prepared, Protocol, Setting, ShotSource, View

__all__ = [
    "Outcome",
    "Prepared",
    "Protocol",
    "Setting",
    "ShotSource",
    "View",
    "answer",
    "draw_shots",
    "load_protocol",
]
