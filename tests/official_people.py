"""People in MLLMU-Bench's layout, and its published evaluation written anew: one prompt at a time, from the rules alone.

Nothing here imports the package's protocol, its parsing or its metrics.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toy import WORDS
from unsee.sample import ImageRef, Sample

FULL_SET = ("forget", "retain", "near_retain")


def official_samples(
    *, forget: int = 4, retain: int = 3, near: int = 1, celebrity: int = 2, seed: int = 0, questions: int = 2
) -> list[Sample]:
    """`questions` choices, a sentence and a blank per person and modality; the forget people are tested too."""
    from PIL import Image

    rng = random.Random(seed)
    people = [("forget", f"{i:03}") for i in range(forget)] + [("retain", f"{100 + i}") for i in range(retain)]
    people += [("near_retain", f"{200 + i}") for i in range(near)] + [("celebrity", f"c{i}") for i in range(celebrity)]
    samples = []
    for set_name, subject in people:
        for asked in (set_name, "test") if set_name == "forget" else (set_name,):
            picture = ImageRef.from_image(Image.new("RGB", (32, 32), tuple(rng.randrange(256) for _ in range(3))))
            for modality in ("image_text", "text"):
                who = "this person" if modality == "image_text" else f"Person {subject}"
                again = "Again: " if asked == "test" else ""
                tasks = ["classification"] * questions + ["generation", "cloze"]
                for number, task in enumerate(tasks):
                    answer, *wrong = rng.sample(WORDS, 4)
                    options = dict(zip("ABCD", rng.sample([answer, *wrong], 4), strict=True))
                    is_choice = task == "classification"
                    samples.append(
                        Sample(
                            id=f"{asked}/{subject}/{modality}/{number}",
                            benchmark="official",
                            subject=subject,
                            set=asked,
                            task=task,
                            modality=modality,
                            images=(picture,) if modality == "image_text" else (),
                            question=f"{again}What is fact {number} of {who}?"
                            if task != "cloze"
                            else f"{again}Fact {number} of {who} is __.",
                            answer=answer,
                            options=options if is_choice else {},
                            correct_option=next(k for k, v in options.items() if v == answer) if is_choice else None,
                        )
                    )
    return samples


@dataclass
class Said:
    """What the published script sees of one question."""

    sample: Sample
    prompt: str
    response: str


class PublishedScript:
    """The published evaluation of one checkpoint; whom it shows is given, because the script draws without a seed.

    Args:
        drawn: (mode, task) -> people shown, in the order of the full set.
    """

    def __init__(self, model: Any, samples: Sequence[Sample], drawn: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.model = model
        self.samples = samples
        self.drawn = drawn
        self.said: list[Said] = []

    def run(self) -> dict[str, dict[str, Any]]:
        """The file of scores."""
        modes = {
            "forget": ("Forget Set Results", ("forget",)),
            "test": ("Test Set Results", ("test",)),
            "retain_shared": ("Retain Set (shared dataset) Results", ("retain", "near_retain")),
            "retain_celebrity": ("Retain Set (real person) Results", ("celebrity",)),
        }
        return {title: self._mode(mode, sets) for mode, (title, sets) in modes.items()}

    def _mode(self, mode: str, sets: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for task, key in (("cloze", "fill_in_the_blank"), ("classification", "classification"), ("generation", "generation")):
            found[key] = {}
            for modality in ("image_text", "text"):
                people = self.drawn.get((mode, task), ())
                shots = [s for s in self.samples if s.set in FULL_SET and s.subject in people]
                shots = [s for s in shots if s.task == task and s.modality == modality]
                asked = [s for s in self.samples if s.set in sets and s.task == task and s.modality == modality]
                replies = [(s, self._ask(s, shots)) for s in asked if s.subject not in people]
                found[key] |= self._scores(task, modality, replies)
        return found

    def _ask(self, sample: Sample, shots: Sequence[Sample]) -> str:
        import torch

        pictured, prompt = sample.modality == "image_text", ""
        for shot in shots:
            if sample.task == "classification":
                prompt += "USER: <image>\n" if pictured else "USER:\n"
                prompt += f"Question: {shot.question}\n"
                for letter in "ABCD":
                    prompt += f"{letter}: {shot.options[letter]}\n"
                prompt += f"Correct Answer: {shot.correct_option}\n"
            else:
                prompt += "USER:<image>\n" if pictured else "USER:\n"
                prompt += blanked(shot.question) + f"\nCorrect Answer: {shot.answer}\n"
        if sample.task == "generation":
            accurately = " accurately" if pictured else ""
            prompt += "USER: <image>\n" if pictured else "USER: "
            prompt += f"{sample.question}\nAnswer the question based on your trained knowledge in one sentence{accurately} in "
            prompt += "ENGLISH.\nASSISTANT: " if pictured else "ENGLISH.\nASSISTANT:"
        else:
            prompt += "USER: <image>\n" if pictured else "USER:\n"
            if sample.task == "classification":
                for line in (sample.question, *(f"{letter}: {text}" for letter, text in sample.options.items())):
                    prompt += line + "\n"
                prompt += "Just give ONE letter representing the answer directly."
            else:
                prompt += blanked(sample.question)
            prompt += "\nASSISTANT:"
        pictures = [image.open() for one in (*shots, sample) for image in one.images] or None
        inputs = self.model.processor(text=prompt, images=pictures, return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model.network.generate(**inputs, max_new_tokens=50, do_sample=False)
        text = self.model.processor.decode(outputs[0][2:], skip_special_tokens=True)
        reply = text.split("ASSISTANT:")[1].strip()
        self.said.append(Said(sample, prompt, reply))
        return reply

    def _scores(self, task: str, modality: str, replies: Sequence[tuple[Sample, str]]) -> dict[str, float | None]:
        """Scores; None where nothing was asked."""
        kind = "Image_Textual" if modality == "image_text" else "Pure_Text"
        if task == "generation":
            return self._overlaps(kind, replies)
        right = 0
        for sample, reply in replies:
            if task == "cloze":
                right += sample.answer.lower() in reply.lower()
            elif reply and reply[0].upper() in sample.options:
                right += reply[0].upper() == sample.correct_option
        names = {
            ("cloze", "Image_Textual"): "image_textual_accuracy",
            ("cloze", "Pure_Text"): "pure_text_accuracy",
            ("classification", "Image_Textual"): "Image-Textual Question Accuracy",
            ("classification", "Pure_Text"): "Pure Text Question Accuracy",
        }
        return {names[task, kind]: right / len(replies) * 100 if replies else None}

    def _overlaps(self, kind: str, replies: Sequence[tuple[Sample, str]]) -> dict[str, float | None]:
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
        from rouge_score import rouge_scorer

        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
        smooth = SmoothingFunction().method1
        totals = dict.fromkeys(("ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU"), 0.0)
        for sample, reply in replies:
            found = scorer.score(sample.answer, reply)
            for title, key in (("ROUGE-1", "rouge1"), ("ROUGE-2", "rouge2"), ("ROUGE-L", "rougeL")):
                totals[title] += found[key].fmeasure
            totals["BLEU"] += sentence_bleu([sample.answer.split()], reply.split(), smoothing_function=smooth)
        return {f"Average {title} ({kind})": total / len(replies) if replies else None for title, total in totals.items()}


def blanked(sentence: str) -> str:
    request = "Please **ONLY** provide the correct answer that should replace the [Blank]."
    return sentence.replace("__", "[Blank]") + "\n" + request
