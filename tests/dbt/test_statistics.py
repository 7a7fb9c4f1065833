"""Each formula stands in one macro; here it meets numbers worked out by hand or read from a table."""

import re
from pathlib import Path

import pytest

from tests.dbt.conftest import PROJECT, Warehouse


@pytest.fixture(scope="module")
def computed(shared_warehouse: Warehouse) -> dict[str, float | str | None]:
    """All formulas in one query: dbt starts once."""
    columns = ",\n".join(f"({{{{ {macro} }}}}) as case_{number}" for number, (macro, _) in enumerate(SCALARS))
    result = shared_warehouse.dbt("show", "--inline", f"select {columns}", "--output", "json")
    [row] = result.result.results[0].agate_table.rows
    return {SCALARS[number][0]: row[f"case_{number}"] for number in range(len(SCALARS))}


SCALARS: list[tuple[str, float | str | None]] = [
    # tables of Student's t: 2.776 at 4, 2.262 at 9, 2.042 at 30 degrees of freedom
    ("t_975('4')", 2.769),
    ("t_975('9')", 2.262),
    ("t_975('30')", 2.042),
    # 2.262 * 10 / sqrt(10)
    ("mean_half_width('10.0', '10')", 7.153),
    ("mean_half_width('10.0', '1')", None),
    ("as_score('-3')", 0.0),
    ("as_score('101.234')", 100.0),
    ("as_score('66.666')", 66.67),
    # greatest(null, 0) is 0 in Postgres: a missing score must not become the worst one
    ("as_score('cast(null as numeric)')", None),
    # x = 1..4, y = 1, 2, 3, 5: sxx 5, sxy 6.5, syy 8.75; residual 0.3; sqrt(0.3 / 2 / 5)
    ("slope_standard_error('5.0', '8.75', '6.5', '4')", 0.1732),
    ("slope_standard_error('5.0', '8.75', '6.5', '2')", None),
    ("slope_standard_error('0.0', '8.75', '0.0', '4')", None),
    # the normal's 5 % and 1 % points, and nothing at all
    ("two_sided_p('1.959964')", 0.05),
    ("two_sided_p('-2.575829')", 0.01),
    ("two_sided_p('0.0')", 1.0),
    # t tables again: 2.262 at 9 and 2.447 at 6 degrees of freedom have a p of 0.05
    ("two_sided_p(t_as_normal('2.262157', '9'))", 0.05),
    ("two_sided_p(t_as_normal('2.446912', '6'))", 0.05),
    # 4 / (4 + 12 / 6)
    ("share_kept('4.0', '12.0', '6')", 0.6667),
    # reps who do not differ at all keep nothing of their own
    ("share_kept('0.0', '12.0', '6')", 0.0),
    # nothing varies anywhere: the mean is known
    ("share_kept('0.0', '0.0', '6')", 1.0),
    # 60 + 2/3 * 20
    ("shrunk_mean('80.0', '60.0', '4.0', '12.0', '6')", 73.3333),
    # 1.96 * sqrt(2/3 * 2), and with 1/9 * 1.5 for the group mean's own uncertainty
    ("shrunk_half_width('4.0', '12.0', '6', '0.0')", 2.2632),
    ("shrunk_half_width('4.0', '12.0', '6', '1.5')", 2.4005),
    # no spread between reps: the width is the group mean's, not zero
    ("shrunk_half_width('0.0', '12.0', '6', '1.0')", 1.96),
    ("tier_of('61', '70', '60', 'true')", "clearly above"),
    ("tier_of('50', '59', '60', 'true')", "clearly below"),
    ("tier_of('55', '65', '60', 'true')", "about average"),
    ("tier_of('61', '70', '60', 'false')", "not ranked yet"),
    ("trend_signal('1.0', '0.05', '8', '4')", "up"),
    ("trend_signal('-1.0', '0.05', '8', '4')", "down"),
    ("trend_signal('1.0', '0.10', '8', '4')", "no clear change"),
    ("trend_signal('1.0', '0.05', '7', '4')", "too few calls"),
    ("trend_signal('1.0', '0.05', '8', '3')", "too few calls"),
    # halves go up: 4 * 1/8 = 0.5
    ("criterion_level('1', '8', '0', '0', '0')", 2),
    ("criterion_level('8', '8', '1', '1', '0')", 5),
    ("criterion_level('8', '8', '0', '0', '0')", 4),
    ("criterion_level('7', '8', '1', '2', '0')", 4),
    ("criterion_level('8', '8', '1', '1', '1')", 2),
    ("criterion_level('0', '3', '0', '0', '1')", 1),
    ("criterion_level('0', '0', '0', '0', '1')", None),
    ("number_of(\"'1,250.50'\")", 1250.5),
    ("number_of(\"'about ten'\")", None),
    ("date_of(\"'2026-11-20T08:00:00Z'\")", "2026-11-20"),
    ("date_of(\"'2026-13-01'\")", None),
    ("role_of(\"'Senior Account Executive, EMEA'\")", "AE"),
    ("role_of(\"'Principal Solutions Architect'\")", "SE"),
    ("role_of(\"'Sales Engineer'\")", "SE"),
    ("role_of(\"'Customer Success Manager'\")", "CSM"),
    ("role_of(\"'Founder'\")", "other"),
    ("role_of('cast(null as text)')", "other"),
    ("call_type_of(\"'Acme: technical deep dive'\", 'null')", "technical"),
    ("call_type_of(\"'Acme'\", \"'QBR'\")", "business_review"),
    ("call_type_of(\"'Lunch'\", 'null')", "other"),
    ("strip(\"e' \\u00a0a b\\u3000\\n'\")", "a b"),
    ("is_backchannel(\"'Mm-hmm.'\", '1')", "True"),
    ("is_backchannel(\"'Yeah, exactly.'\", '2')", "True"),
    ("is_backchannel(\"'Right, so what does it cost you a month?'\", '9')", "False"),
    ("is_backchannel(\"'Why?'\", '1')", "False"),
]


@pytest.mark.parametrize(("macro", "expected"), SCALARS, ids=[macro for macro, _ in SCALARS])
def test_a_formula_gives_the_number_worked_out_by_hand(
    computed: dict[str, float | str | None], macro: str, expected: float | str | None
) -> None:
    found = computed[macro]
    if expected is None:
        assert found is None
    elif isinstance(expected, str):
        assert str(found) == expected
    else:
        assert float(found) == pytest.approx(expected, abs=0.0006)  # type: ignore[arg-type]


def show(warehouse: Warehouse, query: str) -> list[list[object]]:
    result = warehouse.dbt("show", "--inline", query, "--output", "json", "--limit", "20")
    return [list(row) for row in result.result.results[0].agate_table.rows]


def test_benjamini_hochberg_counts_only_what_was_tested_and_only_in_its_family(shared_warehouse: Warehouse) -> None:
    # ordered .01, .03, .04, .5 of four tests: .04, .06, .0533, .5; the smallest from there on: .04, .0533, .0533, .5
    rows = show(
        shared_warehouse,
        """
        with tests (family, p) as (
            values (1, 0.01), (1, 0.04), (1, 0.03), (1, 0.5), (1, null), (2, 0.04), (2, 0.04)
        ),
        scaled as (select *, {{ benjamini_hochberg_scaled('p', 'family') }} as scaled_p from tests)
        select family, p, {{ benjamini_hochberg_q('p', 'scaled_p', 'family') }} as q
        from scaled order by family, p nulls last
        """,
    )
    found = [None if row[2] is None else round(float(row[2]), 4) for row in rows]  # type: ignore[arg-type]
    assert found == [0.04, 0.0533, 0.0533, 0.5, None, 0.04, 0.04]


def test_variances_within_and_between_reps_are_pooled_as_by_hand(shared_warehouse: Warehouse) -> None:
    # (2 * 4 + 1 * 10) / 3 = 6; variance of 50, 60, 70 is 100, less the mean of 30 / 3
    [[pooled, between]] = show(
        shared_warehouse,
        """
        select
            (select {{ pooled_variance('variance', 'n') }} from (values (4.0, 3), (10.0, 2)) as reps (variance, n)),
            (
                select {{ between_variance('mean', 's2', 'n') }}
                from (values (50.0, 30.0, 3), (60.0, 30.0, 3), (70.0, 30.0, 3)) as reps (mean, s2, n)
            ) as between_reps
        """,
    )
    assert (float(pooled), float(between)) == (6, 90)  # type: ignore[arg-type]


def test_quadratic_kappa_is_as_by_hand(shared_warehouse: Warehouse) -> None:
    # observed 0.25; expected var(1,2,3,4) 1.25 + var(1,2,3,5) 2.1875 + (2.5 - 2.75)^2 = 3.5
    [[kappa]] = show(
        shared_warehouse,
        "select {{ quadratic_kappa('a', 'b') }} as kappa from (values (1.0, 1.0), (2, 2), (3, 3), (4, 5)) as p (a, b)",
    )
    assert float(kappa) == pytest.approx(1 - 0.25 / 3.5)  # type: ignore[arg-type]


def test_a_correlation_is_as_by_hand_and_withheld_on_too_few_pairs(shared_warehouse: Warehouse) -> None:
    # 1 to 30 with 1, 0, 1, ...: covariance 225/30 - 15.5 / 2 = -0.25; deviations sqrt(899/12) and 0.5
    rows = show(
        shared_warehouse,
        """
        select {{ correlation('n', 'mod(n, 2)') }} as r from generate_series(1, 30) as n
        union all
        select {{ correlation('n', 'mod(n, 2)') }} as r from generate_series(1, 29) as n
        """,
    )
    assert sorted((None if r is None else round(float(r), 4) for [r] in rows), key=str) == [-0.0578, None]


def test_a_dimension_is_weighed_over_what_applied_and_only_above_sixty_percent(shared_warehouse: Warehouse) -> None:
    # (60 * 2/4 + 20 * 4/4) / 80; half of the weight is too little
    rows = show(
        shared_warehouse,
        """
        with criteria (call, level, weight) as (
            values ('a', 3, 60), ('a', 5, 20), ('a', null, 20), ('b', 5, 50), ('b', null, 50)
        )
        select
            call,
            {{ applicable_weight_share('level', 'weight') }} as share,
            {{ dimension_score('level', 'weight') }} as score
        from criteria group by call order by call
        """,
    )
    assert [float(rows[0][1]), float(rows[0][2])] == [0.8, 62.5]  # type: ignore[arg-type]
    assert [float(rows[1][1]), rows[1][2]] == [0.5, None]  # type: ignore[arg-type]


def test_each_role_has_its_weight_and_others_that_of_an_account_executive(shared_warehouse: Warehouse) -> None:
    rows = show(
        shared_warehouse,
        """
        with criteria as (select 35 as weight_ae, 30 as weight_se, 40 as weight_csm)
        select people.role, {{ weight_of_role('people.role', 'criteria') }} as weight
        from (values ('AE'), ('CSM'), ('SE'), ('other')) as people (role) cross join criteria order by people.role
        """,
    )
    assert {str(role): int(weight) for role, weight in rows} == {"AE": 35, "CSM": 40, "SE": 30, "other": 35}  # type: ignore[call-overload]


def test_patience_is_the_median_pause_and_an_interruption_is_over_200_ms_early(shared_warehouse: Warehouse) -> None:
    # pauses 0, 0, 0.5, 1.5 s, so the median is 0.25; one of four began more than 200 ms early
    [[patience, interruptions]] = show(
        shared_warehouse,
        """
        select
            {{ patience_s('gap_ms', 'is_answer') }} as patience,
            {{ interruption_rate('gap_ms', 'is_answer') }} as interruptions
        from (values (500, true), (-300, true), (-200, true), (1500, true), (9000, false)) as turns (gap_ms, is_answer)
        """,
    )
    assert (float(patience), float(interruptions)) == (0.25, 0.25)  # type: ignore[arg-type]


def test_a_request_is_priced_against_both_baselines_as_by_hand(shared_warehouse: Warehouse) -> None:
    # nothing cached: 0.02 + 6,000 * 1.8 / 1e6 - 11,000 * 0.5 / 1e6 - 1,000 * 2 / 1e6
    # rubric only:    0.02 + 5,000 * 1.8 / 1e6 - 11,000 * 0.5 / 1e6, the transcript being 5,000 of the tokens read
    rows = show(
        shared_warehouse,
        """
        with requests (id, cost_usd, price_factor, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
            transcript_tokens, price) as (
            values (1, 0.02, 1, 6000, 11000, 1000, 5000, 2.0), (2, 0.02, 1, 6000, 11000, 1000, 5000, null)
        ),
        prices as (
            select 2.0 as input_usd_per_mtok, 0.2 as cache_read_usd_per_mtok, 2.5 as cache_write_5m_usd_per_mtok,
                4.0 as cache_write_1h_usd_per_mtok
        )
        select
            {{ usd('requests.cache_read_tokens', 'prices.input_usd_per_mtok') }} as plain,
            {{ usd_without_prompt_cache('requests', 'prices') }} as no_caching,
            {{ usd_with_rubric_only_cache('requests', 'prices') }} as rubric_only
        from requests left join prices on requests.price = prices.input_usd_per_mtok
        order by requests.id
        """,
    )
    assert [float(value) for value in rows[0]] == [0.012, 0.0233, 0.0235]  # type: ignore[arg-type]
    # without a known price it cost what it cost
    assert [None if value is None else float(value) for value in rows[1]] == [None, 0.02, 0.02]  # type: ignore[arg-type]


def test_every_formula_meets_a_number_here() -> None:
    formulas = [
        name
        for path in (PROJECT / "macros" / "statistics").glob("*.sql")
        for name in re.findall(r"macro (\w+)\(", path.read_text(encoding="utf-8"))
    ]
    told = Path(__file__).read_text(encoding="utf-8")
    assert len(formulas) > 20
    assert [name for name in formulas if f"{name}(" not in told] == []
