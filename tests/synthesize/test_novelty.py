import pytest

from pipelines.synthesize.novelty import novelty


@pytest.mark.parametrize(
    ("text", "seed", "share"),
    [
        ("the quick brown fox jumps over", "The quick, brown fox\njumps over!", 0.0),
        ("the quick brown fox jumps over", "the quick brown fox jumps off", 0.5),
        ("a b c", "x a b c y", 0.0),
        ("a b c", "x a b y", 1.0),
        ("", "a text", 0.0),
        ("...", "a text", 0.0),
        # Eight characters of Han and of Thai, punctuation and spaces left out.
        ("今天天气很好我们去", "今天，天气很好我们去公园", 0.0),
        ("今天天气很好我们去山", "今天天气很好我们去公园", 1 / 3),
        ("ไปโรงเรียนกัน", "เราไปโรงเรียนกันเถอะ", 0.0),
        ("сегодня хорошая погода и мы", "Сегодня хорошая погода, и мы гуляем", 0.0),
        # A translation is new.
        ("we go to the park today", "今天天气很好我们去公园", 1.0),
    ],
)
def test_novelty_is_the_share_of_new_n_grams(text: str, seed: str, share: float) -> None:
    assert novelty(text, seed) == pytest.approx(share)
