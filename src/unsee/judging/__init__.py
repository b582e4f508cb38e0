"""A judge behind an OpenAI-compatible server that scores written answers from 1 to 10 for factuality.

    client = ChatClient("http://localhost:8000/v1", "some-model")
    judgements = judge(records, samples, client=client)

Nothing here runs unless it is asked for, and nothing else in the package touches the network. The judge's rubric is
`rubric.py` and a whole run folder `judged_run.py`; `unsee.chat` holds the server's client and what was already asked.
"""

from unsee.judging.judge import judge
from unsee.judging.judged_run import JudgedRun, judge_run
from unsee.judging.rubric import Verdict, read_reply, rubric_messages

__all__ = [
    "JudgedRun",
    "Verdict",
    "judge",
    "judge_run",
    "read_reply",
    "rubric_messages",
]
