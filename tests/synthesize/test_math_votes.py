"""Majorities: exact decisions, and what they may not depend on."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthesize.mathematics.votes import Decision, Majority, Vote, decide

RULES = Majority(share=0.6, hard_share=0.4, count=3, styles_agree=True)


def cast(answers: str, style: str = "chain_of_thought") -> list[Vote]:
    """One vote a letter; `-` has no answer."""
    return [Vote(style, None if letter == "-" else letter) for letter in answers]


def test_a_majority_of_all_attempts_is_accepted() -> None:
    assert decide(cast("aaab-"), RULES, is_last=False) == Decision("a", None, None, 0.6)


def test_attempts_without_an_answer_count_against_it() -> None:
    decision = decide(cast("aaa---"), RULES, is_last=False)
    assert (decision.answer, decision.reason, decision.pass_rate) == (None, "no_majority", 0.5)


def test_after_the_last_attempts_less_is_enough() -> None:
    assert decide(cast("aaa---"), RULES, is_last=True).answer == "a"
    assert decide(cast("aaa-----"), RULES, is_last=True).reason == "no_majority"


def test_too_few_and_ties_are_no_majority() -> None:
    assert decide(cast("aa"), RULES, is_last=True).reason == "no_majority"
    tied = decide(cast("aaabbb"), RULES, is_last=True)
    assert tied.reason == "no_majority"
    assert "as has another" in (tied.message or "")


def test_nothing_at_all() -> None:
    assert decide(cast("---"), RULES, is_last=True).reason == "no_answer"
    assert decide([], RULES, is_last=True).reason == "no_answer"


def test_styles_have_to_agree_where_asked() -> None:
    votes = cast("aaaaaaaa") + cast("bbb", "program_aided")
    assert decide(votes, RULES, is_last=False).reason == "styles_disagree"
    relaxed = RULES.model_copy(update={"styles_agree": False})
    assert decide(votes, relaxed, is_last=False).answer == "a"
    # A style without any answer, or one that is tied, does not object.
    assert decide(cast("aaaaaaa") + cast("--", "program_aided"), RULES, is_last=True).answer == "a"
    assert decide(cast("aaaaaa") + cast("ab", "program_aided"), RULES, is_last=True).answer == "a"


VOTES = st.lists(
    st.builds(
        Vote,
        st.sampled_from(["chain_of_thought", "program_aided"]),
        st.sampled_from(["a", "b", "c", None]),
    ),
    max_size=24,
)


@given(VOTES.flatmap(lambda votes: st.tuples(st.just(votes), st.permutations(votes))))
def test_the_order_of_votes_does_not_matter(two: tuple[list[Vote], list[Vote]]) -> None:
    for is_last in (False, True):
        assert decide(two[0], RULES, is_last=is_last) == decide(two[1], RULES, is_last=is_last)


@given(VOTES)
def test_what_is_accepted_has_its_share(votes: list[Vote]) -> None:
    decision = decide(votes, RULES, is_last=False)
    counts = Counter(vote.answer for vote in votes if vote.answer)
    if decision.answer is not None:
        assert counts[decision.answer] == max(counts.values())
        assert counts[decision.answer] >= max(3, 0.6 * len(votes))
        assert decision.pass_rate == counts[decision.answer] / len(votes)


@given(VOTES)
def test_one_more_vote_for_the_accepted_answer_keeps_it(votes: list[Vote]) -> None:
    relaxed = RULES.model_copy(update={"styles_agree": False})
    answer = decide(votes, relaxed, is_last=False).answer
    if answer is not None:
        more = [*votes, Vote("chain_of_thought", answer)]
        assert decide(more, relaxed, is_last=False).answer == answer
