"""Lens views keep strict ranks in fp32 of differences of adjacent layers; random responses are the same in every batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from toy import learn_by_heart
from unsee.answering import Protocol, Setting, View, answer
from unsee.answering.lens import TOP, best, block_count, indices, lens_view, quantities, read_lens, row_of, strict_ranks
from unsee.answering.sampling import draw_tokens, random_numbers
from unsee.errors import ConfigError
from unsee.files import read_parquet, write_parquet
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.schemas import RECORDS

D = torch.tensor(
    [
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.5, 0.1, 0.1, 0.2, 0.1],
        [0.4, 0.3, 0.1, 0.1, 0.1],
        [0.1, 0.2, 0.5, 0.1, 0.1],
    ]
)
"""Four layers of five tokens: embeddings and three blocks."""
FIRST = [[0.3, -0.1, -0.1, 0.0, -0.1], [-0.1, 0.2, 0.0, -0.1, 0.0], [-0.3, -0.1, 0.4, 0.0, 0.0]]
SECOND = [[-0.4, 0.3, 0.1, -0.1, 0.1], [-0.2, -0.3, 0.4, 0.1, 0.0]]
BEGUN: dict[str, Any] = {}


def test_differences_by_hand() -> None:
    """Adjacent layers are differenced (N3): D_3 - D_1, which selecting layers 1 and 3 first would give, is none of the rows."""
    made = quantities(D[:, None])[:, 0]
    assert torch.allclose(made, torch.tensor([*D.tolist(), *FIRST, *SECOND]), atol=1e-6)
    assert len(made) == 9 and block_count(9) == 3
    assert not any(torch.allclose(row, D[3] - D[1], atol=1e-3) for row in made)
    rows = {(q, i): row_of(q, i, 3) for q in ("layers", "first", "second") for i in indices(q, 3)}
    assert list(rows.values()) == list(range(9))
    assert torch.allclose(made[rows["first", 2]], torch.tensor(FIRST[2]), atol=1e-6)
    assert torch.allclose(made[rows["second", 1]], torch.tensor(SECOND[0]), atol=1e-6)


@pytest.mark.parametrize("side", ["top", "bottom"])
def test_ranks_and_best_tokens_by_hand(side: Any) -> None:
    """Token 1 is what is looked for; of equals the lower id is tried first, ties do not count as better, nor as lowest (N1)."""
    seen = read_lens(D[:, None].log(), torch.tensor([1]), side)
    layers, second, best_of_last_difference = {"top": ([1, 3, 2, 2], [1, 5], 2), "bottom": ([None, None, 4, 4], [5, 1], 0)}[
        side
    ]
    assert [row[0] for row in seen.ranks[:4]] == layers
    assert [row[0] for row in seen.ranks[7:]] == second
    assert seen.top_ids[0] == [0, 1, 2, 3, 4]
    assert seen.top_ids[6][0] == best_of_last_difference and set(seen.top_ids[6]) == set(range(5))
    sign = 1 if side == "top" else -1
    assert [row[0] for row in seen.scores] == pytest.approx([sign * row[1] for row in (*D.tolist(), *FIRST, *SECOND)], abs=1e-6)
    assert seen.top_scores[3] == pytest.approx(sorted((sign * D[3]).tolist(), reverse=True), abs=1e-6)


def test_half_precision_ties_are_an_artefact() -> None:
    """N1: in half precision most of a vocabulary underflows to 0 and ties for the lowest rank; in fp32 ranks are apart."""
    logits = 6 * torch.randn(1, 1, 32_000, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(0, 32_000, 160)
    lowest = [-logits.softmax(-1), -logits.half().softmax(-1).float()]
    ranks, half = (strict_ranks(scores.expand(1, len(targets), -1), targets)[0] for scores in lowest)
    assert float((half <= 4).float().mean()) > 0.8
    assert float((ranks <= 4).float().mean()) < 0.01
    assert len(ranks.unique()) > 0.99 * len(ranks)


def test_best_takes_the_lower_id_of_equals() -> None:
    scores = torch.tensor([[0.0, 1.0, 1.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    ids, values = best(scores, 2)
    assert ids.tolist() == [[1, 2], [0, 1]]
    assert values.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert best(scores, 50)[0].shape == (2, 5)


@pytest.fixture
def texts(samples: list[Sample]) -> list[Sample]:
    """Questions without pictures and with, answers of one token and of several."""
    written = [s for s in samples if s.task == "generation"]
    return [replace(s, answer="nine owl tea") if i % 3 == 0 else s for i, s in enumerate(written)]


def test_a_lens_record_is_what_the_plain_network_says(model: Model, texts: list[Sample]) -> None:
    """The last layer is the model's own distribution to 1e-5, teacher forced inside the answer, nothing of it in the prompt."""
    sample = next(s for s in texts if s.images and " " in s.answer)
    row = answer(model, [sample], protocols=("lens",)).row(0, named=True)
    assert (row["view"], row["protocol"], row["response"], row["parsed"]) == ("lens", "lens", None, None)
    prompt = f"<s>USER: <image>\n{sample.question}\nASSISTANT:"
    pictures = [image.open() for image in sample.images]
    inputs, whole = (
        model.processor(text=text, images=pictures, add_special_tokens=False, return_tensors="pt")
        for text in (prompt, f"{prompt} {sample.answer}")
    )
    start = inputs["input_ids"].shape[1]
    ids = whole["input_ids"][0, start:].tolist()
    with torch.no_grad():
        own = model.network(**whole).logits[0, start - 1 : -1].softmax(-1)
    last = row_of("layers", 8, 8)
    assert row["answer_ids"] == ids and row["n_answer_tokens"] == len(ids) == len(row["layer_ranks"][last])
    assert row["layer_scores"][last] == pytest.approx([float(own[t, token]) for t, token in enumerate(ids)], abs=1e-5)
    assert row["layer_ranks"][last] == [1 + int((own[t] > own[t, token]).sum()) for t, token in enumerate(ids)]
    assert row["layer_top_ids"][last] == own[0].topk(TOP).indices.tolist()
    assert row["answer_logprob_sum"] == pytest.approx(sum(float(own[t, i].log()) for t, i in enumerate(ids)), abs=1e-4)
    for column in ("layer_ranks", "layer_scores", "layer_top_ids", "layer_top_scores"):
        assert len(row[column]) == 24
    assert all(len(top) == TOP for top in row["layer_top_ids"])


def test_first_and_second_differences_of_a_record(model: Model, texts: list[Sample]) -> None:
    row = answer(model, texts[:1], protocols=("lens",)).row(0, named=True)
    d = [row["layer_scores"][row_of("layers", i, 8)][0] for i in range(9)]
    for i in range(8):
        assert row["layer_scores"][row_of("first", i, 8)][0] == pytest.approx(d[i + 1] - d[i], abs=1e-7)
    for i in range(1, 8):
        expected = d[i + 1] - 2 * d[i] + d[i - 1]
        assert row["layer_scores"][row_of("second", i, 8)][0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("batch_size", "pack"), [(4, True), (16, True), (16, False)])
def test_ranks_do_not_depend_on_the_batch(model: Model, texts: list[Sample], batch_size: int, pack: bool) -> None:
    """In double precision, where no two tokens of a random network are closer than rounding, every rank is equal."""
    model.network.double()
    written = [s for s in texts if not s.images]
    alone = answer(model, written, protocols=("lens",), batch_size=1)
    other = answer(model, written, protocols=("lens",), batch_size=batch_size, pack=pack)
    for column in ("layer_ranks", "layer_top_ids", "answer_ids"):
        assert other[column].to_list() == alone[column].to_list()


def test_scores_do_not_depend_on_the_batch(model: Model, texts: list[Sample]) -> None:
    alone, other = (answer(model, texts, protocols=("lens",), batch_size=size) for size in (1, 16))
    for column in ("layer_scores", "layer_top_scores"):
        one, two = (frame[column].explode().explode() for frame in (alone, other))
        assert (one - two).abs().max() < 1e-6  # type: ignore[operator]


def test_lens_beside_other_protocols(model: Model, samples: list[Sample]) -> None:
    """Records of other views are as they were, and one call may ask both."""
    plain = answer(model, samples[:5], max_new_tokens=3)
    both = answer(model, samples[:5], protocols=("strict", "lens"), max_new_tokens=3)
    assert both.schema == RECORDS
    assert_frame_equal(both.filter(pl.col("protocol") == "strict"), plain, check_exact=True)
    assert both.filter(pl.col("protocol") == "lens").height == 5
    late = plain.select("layer_ranks", "layer_scores", "answer_ids", "temperature", "top_p")
    assert all(late[column].null_count() == plain.height for column in late.columns)


def test_the_bare_fact_is_looked_for(model: Model, samples: list[Sample]) -> None:
    sample = replace(samples[2], answer="She is a nurse by trade.", metadata={"value": "nurse"})
    assert lens_view(sample, Setting(model.prompter)).answer == "nurse"


def test_broken_weights_have_no_ranks(model: Model, texts: list[Sample]) -> None:
    with torch.no_grad():
        model.base.get_decoder().layers[4].mlp.down_proj.weight.fill_(float("nan"))
    row = answer(model, texts[:1], protocols=("lens",)).row(0, named=True)
    whole, lost = row["layer_ranks"][4], row["layer_ranks"][5]
    assert all(rank is not None for rank in whole) and set(lost) == {None}
    assert row["layer_top_ids"][5] == row["layer_top_scores"][5] == []
    assert set(row["layer_scores"][8]) == {None}


def test_a_model_without_hidden_states_is_refused(model: Model, texts: list[Sample]) -> None:
    model.base.config.get_text_config().num_hidden_layers = 12
    with pytest.raises(ConfigError, match="cannot be read layer by layer"):
        answer(model, texts, protocols=("lens",))


def test_tables_written_before_the_new_columns_can_be_read(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    table = answer(model, samples[:2], max_new_tokens=2)
    old = table.drop("layer_scores", "layer_top_scores", "answer_ids", "temperature", "top_p", "edit_id")
    write_parquet(tmp_path / "old.parquet", old)
    assert_frame_equal(read_parquet(tmp_path / "old.parquet", schema=RECORDS, remedy="x"), table)


# Random responses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperature", "top_p", "number", "token"),
    [
        (1.0, 1.0, 0.0, 0),
        (1.0, 1.0, 0.49, 0),
        (1.0, 1.0, 0.51, 1),
        (1.0, 1.0, 0.96, 3),
        # The nucleus of 0.6 is tokens 0 and 1, with 0.5 / 0.8 and 0.3 / 0.8.
        (1.0, 0.6, 0.62, 0),
        (1.0, 0.6, 0.63, 1),
        (1.0, 0.6, 0.9999, 1),
        # One token reaches 0.5 alone.
        (1.0, 0.5, 0.9999, 0),
        # At temperature 0.5 probabilities are squared: 0.25, 0.09, 0.0225, 0.0025 of 0.365.
        (0.5, 1.0, 0.68, 0),
        (0.5, 1.0, 0.69, 1),
    ],
)
def test_a_draw_by_hand(temperature: float, top_p: float, number: float, token: int) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    drawn = draw_tokens(logits, *(torch.tensor([value], dtype=torch.float64) for value in (number, temperature, top_p)))
    assert drawn.tolist() == [token]


def test_rows_are_drawn_each_by_its_own_settings() -> None:
    """A nucleus of more tokens than are looked at first is whole."""
    logits = torch.cat([torch.zeros(1, 1000), torch.tensor([[9.0]] + [[0.0]] * 999).T])
    numbers, top_p = torch.tensor([0.999, 0.999]).double(), torch.tensor([0.9, 0.5]).double()
    first, second = draw_tokens(logits, numbers, torch.ones(2).double(), top_p).tolist()
    assert 890 <= first < 1000 and second == 0


def test_random_numbers_are_decided_by_their_key() -> None:
    assert (random_numbers(5, 0, "a", "v", 1)[:3] == random_numbers(3, 0, "a", "v", 1)).all()
    others = [random_numbers(3, *key) for key in ((1, "a", "v", 1), (0, "b", "v", 1), (0, "a", "w", 1), (0, "a", "v", 2))]
    assert len({tuple(numbers) for numbers in [random_numbers(3, 0, "a", "v", 1), *others]}) == 5


def _drawn(draws: int = 3, **options: Any) -> Protocol:
    def views(sample: Sample, setting: Setting) -> list[View]:
        prompt = setting.ask(sample, sample.question)
        return [
            View(
                name="drawn",
                prompt=prompt,
                images=sample.images,
                draw=draw,
                parse=lambda outcome: outcome.response,
                **({"temperature": 1.0, "top_p": 0.9} | options),
            )
            for draw in range(draws)
        ]

    return Protocol("drawn", views)


@pytest.fixture
def unsure(model: Model, samples: list[Sample]) -> Model:
    """A model that has begun to learn, so that its responses differ from draw to draw but are short."""
    if not BEGUN:
        items = [model.prompter.encode(s.question, s.answer, images=s.images) for s in samples]
        learn_by_heart(model, items, steps=25)
        BEGUN.update(model.network.state_dict())
    model.network.load_state_dict(BEGUN)
    return model


def test_random_responses_do_not_depend_on_the_batch(unsure: Model, samples: list[Sample]) -> None:
    alone = answer(unsure, samples[:10], protocols=[_drawn()], batch_size=1, max_new_tokens=6)
    assert alone["response"].n_unique() > 5
    assert set(alone["temperature"]) == {1.0} and set(alone["top_p"]) == {0.9}
    for batch_size in (4, 16):
        other = answer(unsure, samples[:10], protocols=[_drawn(), "strict"], batch_size=batch_size, max_new_tokens=6)
        assert_frame_equal(other.filter(pl.col("protocol") == "drawn"), alone)
    some = answer(unsure, samples[3:7], protocols=[_drawn()], max_new_tokens=6)
    assert_frame_equal(some, alone.filter(pl.col("sample_id").is_in([s.id for s in samples[3:7]])))


def test_another_seed_draws_anew(unsure: Model, samples: list[Sample], tmp_path: Path) -> None:
    one, two = (
        answer(unsure, samples[:6], protocols=[_drawn()], seed=seed, max_new_tokens=6, store=tmp_path) for seed in (0, 1)
    )
    assert one["response"].to_list() != two["response"].to_list()


def test_a_cold_draw_is_the_greedy_response(unsure: Model, samples: list[Sample]) -> None:
    cold = answer(unsure, samples[:6], protocols=[_drawn(1, temperature=1e-4)], max_new_tokens=6)
    greedy = answer(unsure, samples[:6], protocols=[_drawn(1, temperature=None)], max_new_tokens=6)
    assert cold["response"].to_list() == greedy["response"].to_list()
    assert greedy["temperature"].null_count() == greedy["top_p"].null_count() == 6
