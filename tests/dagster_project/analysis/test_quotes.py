import pytest

from dagster_project.analysis.quotes import find_quote

TURN = "Well, we don't have  the “budget” this year – not before the freeze. Ask again in March, please."


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("not before the freeze", "not before the freeze"),
        ('we don’t have the "budget" this year', "we don't have  the “budget” this year"),
        ("this year - not before", "this year – not before"),
        ("WELL, WE DON'T HAVE", "Well, we don't have"),
        ("'Ask again in March, please.'", "Ask again in March, please"),
        ("... ask again in march", "Ask again in March"),
        ("we have the budget this year", None),
        ("not before the", None),
        ("ot before the freez", None),
        ("not before the freeze. Ask again in April", None),
        ("", None),
        ("....", None),
    ],
)
def test_a_quote_is_found_word_for_word_or_not_at_all(quote, found):
    assert find_quote(quote, TURN) == found


def test_a_short_turn_may_be_quoted_whole():
    assert find_quote("Yes, exactly.", "Yes, exactly.") == "Yes, exactly."
    assert find_quote("exactly", "Yes, exactly.") is None


def test_a_quote_keeps_the_turns_own_spelling_when_letters_fold_to_several():
    assert find_quote("die STRASSE ist sehr lang", "Die Straße ist sehr lang heute") == "Die Straße ist sehr lang"
