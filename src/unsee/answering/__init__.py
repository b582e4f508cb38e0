"""Run a model over samples, once per view, and write down what it said.

`records.py` holds `answer`, `views.py` says what a view is and which protocols exist, `strict.py` is one protocol, `engine.py`
runs views in packed passes, `store.py` keeps finished parts so that an interrupted call goes on.
"""

from unsee.answering.records import answer
from unsee.answering.views import Outcome, Protocol, Setting, View, load_protocol

__all__ = ["Outcome", "Protocol", "Setting", "View", "answer", "load_protocol"]
