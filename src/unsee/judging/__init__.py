"""A judge behind an OpenAI-compatible server that scores written answers from 1 to 10 for factuality.

    client = JudgeClient("http://localhost:8000/v1", "some-model")
    judgements = judge(records, samples, client=client)

Nothing here runs unless it is asked for, and nothing else in the package touches the network. The judge's rubric is
`rubric.py`, the server `client.py`, what was already asked `cache.py`, and a whole run folder `judged_run.py`.
"""

from unsee.judging.cache import ReplyCache
from unsee.judging.client import JudgeClient, JudgeError
from unsee.judging.judge import judge
from unsee.judging.judged_run import JudgedRun, judge_run
from unsee.judging.rubric import Verdict, read_reply, rubric_messages

__all__ = [
    "JudgeClient",
    "JudgeError",
    "JudgedRun",
    "ReplyCache",
    "Verdict",
    "judge",
    "judge_run",
    "read_reply",
    "rubric_messages",
]
