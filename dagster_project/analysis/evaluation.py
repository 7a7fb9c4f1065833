"""How far the machine agrees with people: from labels to numbers, and to no claim the labels do not carry.

    labels (a file, or Gong's answered scorecards) + standing verdicts and levels -> pairs -> agreement per dimension

Calls are the unit of chance: labels within one call are not independent, so intervals come from drawing calls. Beside
every agreement stands what a constant answer would reach, and, where two people labelled the same item, what they reach
with each other.
"""

import csv
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

Kind = Literal["level", "verdict"]
VERDICTS = ("no", "yes", "not_applicable")
LEVELS = ("1", "2", "3", "4", "5")
COLUMNS = "call_id, labeller, and either marker_id + verdict or criterion_id + level"
N_DRAWS = 1_000
# what "at least 80 % agreement" has to rest on before it may be said
CLAIM_AGREEMENT, CLAIM_KAPPA, CLAIM_HUMAN_MARGIN = 0.80, 0.60, 0.05


class LabelError(ValueError):
    """A labels file that cannot be used; names the line."""


@dataclass(frozen=True, slots=True)
class Label:
    """One person's answer to one question about one call."""

    call_id: str
    item_id: str
    kind: Kind
    value: str
    labeller: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The same question, answered by a person and by the machine."""

    call_id: str
    dimension: str
    kind: Kind
    human: str
    machine: str


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """One dimension and kind of label. Kappa is quadratic for levels, plain for verdicts; None where undefined."""

    dimension: str
    kind: Kind
    n_labels: int
    n_calls: int
    exact: float
    exact_interval: Interval
    kappa: float | None
    kappa_interval: Interval | None
    within_one: float | None
    # machine minus human: above zero the machine is the kinder one
    signed_error: float | None
    constant_answer: str
    constant_exact: float
    human_human_exact: float | None
    n_human_pairs: int
    # (people's answer, the machine's, how often): where the two part most
    commonest_disagreement: tuple[str, str, int] | None

    @property
    def claim(self) -> str:
        """What may be said of this agreement."""
        missing = []
        if self.exact_interval.low < CLAIM_AGREEMENT:
            missing.append(f"the lower bound is {self.exact_interval.low:.0%}")
        if self.kappa is None or self.kappa < CLAIM_KAPPA:
            missing.append(f"kappa is {'undefined' if self.kappa is None else f'{self.kappa:.2f}'}")
        if self.human_human_exact is None:
            missing.append("no item has two human labels")
        elif self.exact < self.human_human_exact - CLAIM_HUMAN_MARGIN:
            missing.append(f"people agree with each other in {self.human_human_exact:.0%}")
        return "at least 80 % agreement" if not missing else f"no claim: {'; '.join(missing)}"


@dataclass(frozen=True)
class Evaluation:
    agreements: tuple[Agreement, ...]
    # labels without an answer of the machine, by reason
    unmatched: Mapping[str, int]
    # share of verdicts that changed when the same question was asked again, and how many were asked again
    flip_rate: float | None
    n_repeats: int
    is_sandbox: bool


def read_labels(path: Path) -> tuple[Label, ...]:
    """Labels from CSV (with a header) or JSON (a list of objects)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path} cannot be read: {error}. It needs {COLUMNS}.") from error
    if path.suffix == ".json":
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise LabelError(f"{path} is not JSON: {error}") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise LabelError(f"{path} must hold a list of objects with {COLUMNS}.")
    else:
        rows = list(csv.DictReader(text.splitlines()))
    labels = tuple(read_label(row, where=f"{path.name}, label {number}") for number, row in enumerate(rows, start=1))
    if not labels:
        raise LabelError(f"{path} holds no label. It needs {COLUMNS}.")
    return labels


def read_label(row: Mapping[str, Any], *, where: str) -> Label:
    call_id = str(row.get("call_id") or "").strip()
    if not call_id:
        raise LabelError(f"{where}: call_id is missing. A label needs {COLUMNS}.")
    labeller = str(row.get("labeller") or "one").strip()
    if row.get("marker_id"):
        verdict = str(row.get("verdict") or "").strip().lower().replace(" ", "_").replace("n/a", "not_applicable")
        if verdict not in VERDICTS:
            raise LabelError(f"{where}: the verdict {row.get('verdict')!r} is none of {', '.join(VERDICTS)}.")
        return Label(call_id, str(row["marker_id"]).strip(), "verdict", verdict, labeller)
    if row.get("criterion_id"):
        level = str(row.get("level") or "").strip().removesuffix(".0")
        if level not in LEVELS:
            raise LabelError(f"{where}: the level {row.get('level')!r} is not 1 to 5.")
        return Label(call_id, str(row["criterion_id"]).strip(), "level", level, labeller)
    raise LabelError(f"{where}: neither marker_id nor criterion_id. A label needs {COLUMNS}.")


def read_scorecards(database_url: str) -> tuple[Label, ...]:
    """What managers answered in Gong, where a question was mapped to a criterion (marts.fct_manager_scores)."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        row = connection.execute("select to_regclass('marts.fct_manager_scores') is not null as is_there").fetchone()
        if not row or not row["is_there"]:
            raise LabelError("there are no answered scorecards: load them from Gong and build the marts first.")
        rows = connection.execute(
            """
            select call_id, criterion_id, human_level, coalesce(reviewer_id, 'manager') as reviewer_id
            from marts.fct_manager_scores
            where criterion_id is not null and human_level is not null
            """
        ).fetchall()
    if not rows:
        raise LabelError("no answered scorecard belongs to a loaded call and a criterion of the rubrics.")
    return tuple(
        Label(row["call_id"], row["criterion_id"], "level", str(row["human_level"]), row["reviewer_id"]) for row in rows
    )


def evaluate(*, database_url: str, labels: Sequence[Label], seed: int = 7) -> Evaluation:
    """Compare the labels with what stands in the warehouse; nothing is asked of Claude."""
    call_ids = sorted({label.call_id for label in labels})
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        verdicts, is_sandbox = standing_verdicts(connection, call_ids)
        levels = standing_levels(connection, call_ids)
        flips, n_repeats = repeated_verdicts(connection)
    pairs: list[Pair] = []
    unmatched: Counter[str] = Counter()
    dimension_of: dict[tuple[str, str], str] = {}
    for label in labels:
        answers = verdicts if label.kind == "verdict" else levels
        found = answers.get((label.call_id, label.item_id))
        if found is None:
            unmatched["the machine has no answer for it"] += 1
            continue
        dimension, machine = found
        dimension_of[label.call_id, label.item_id] = dimension
        if machine is None:
            unmatched["the machine found no opportunity, the label has a level"] += 1
            continue
        pairs.append(Pair(label.call_id, dimension, label.kind, label.value, machine))
    human = human_pairs(labels, dimension_of)
    groups: dict[tuple[str, Kind], list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.dimension, pair.kind].append(pair)
    return Evaluation(
        agreements=tuple(
            agreement(group, dimension=dimension, kind=kind, human=human.get((dimension, kind), []), seed=seed)
            for (dimension, kind), group in sorted(groups.items())
        ),
        unmatched=dict(unmatched),
        flip_rate=flips / n_repeats if n_repeats else None,
        n_repeats=n_repeats,
        is_sandbox=is_sandbox,
    )


def standing_verdicts(
    connection: psycopg.Connection[dict[str, Any]], call_ids: Sequence[str]
) -> tuple[dict[tuple[str, str], tuple[str, str | None]], bool]:
    rows = connection.execute(
        """
        select distinct on (call_results.call_id, call_results.dimension, marker ->> 'marker_id')
            call_results.call_id,
            call_results.dimension,
            marker ->> 'marker_id' as marker_id,
            marker ->> 'verdict' as verdict,
            results.is_sandbox
        from analysis.call_results as call_results
        inner join analysis.results as results
            on
                call_results.result_key = results.result_key
                and call_results.result_created_at = results.created_at
        cross join lateral jsonb_array_elements(results.answer -> 'markers') as marker
        where call_results.call_id = any(%s)
        order by
            call_results.call_id,
            call_results.dimension,
            marker ->> 'marker_id',
            call_results.updated_at desc
        """,
        (list(call_ids),),
    ).fetchall()
    found = {(row["call_id"], row["marker_id"]): (row["dimension"], row["verdict"]) for row in rows}
    return found, any(row["is_sandbox"] for row in rows)


def standing_levels(
    connection: psycopg.Connection[dict[str, Any]], call_ids: Sequence[str]
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Levels are computed in dbt and nowhere else, so they are read from the mart."""
    row = connection.execute("select to_regclass('marts.fct_criterion_scores') is not null as is_there").fetchone()
    if not row or not row["is_there"]:
        return {}
    rows = connection.execute(
        """
        select call_id, dimension, criterion_id, level
        from marts.fct_criterion_scores
        where is_current and call_id = any(%s)
        """,
        (list(call_ids),),
    ).fetchall()
    return {
        (row["call_id"], row["criterion_id"]): (
            row["dimension"],
            None if row["level"] is None else str(int(row["level"])),
        )
        for row in rows
    }


def repeated_verdicts(connection: psycopg.Connection[dict[str, Any]]) -> tuple[int, int]:
    """(verdicts that changed, verdicts asked for again) over answers given twice under one key."""
    row = connection.execute(
        """
        with answered as (
            select
                results.result_key,
                results.created_at,
                marker ->> 'marker_id' as marker_id,
                marker ->> 'verdict' as verdict
            from analysis.results as results
            cross join lateral jsonb_array_elements(results.answer -> 'markers') as marker
        ),

        repeated as (
            select
                verdict,
                lag(verdict) over (partition by result_key, marker_id order by created_at) as earlier
            from answered
        )

        select
            count(*) filter (where verdict <> earlier) as flips,
            count(earlier) as n_repeats
        from repeated
        """
    ).fetchone()
    return (row["flips"], row["n_repeats"]) if row else (0, 0)


def human_pairs(
    labels: Sequence[Label], dimension_of: Mapping[tuple[str, str], str]
) -> dict[tuple[str, Kind], list[tuple[str, str]]]:
    """Two people on one item; of more than two, the first two by name."""
    by_item: dict[tuple[str, str, Kind], dict[str, str]] = defaultdict(dict)
    for label in labels:
        by_item[label.call_id, label.item_id, label.kind][label.labeller] = label.value
    pairs: dict[tuple[str, Kind], list[tuple[str, str]]] = defaultdict(list)
    for (call_id, item_id, kind), values in by_item.items():
        dimension = dimension_of.get((call_id, item_id))
        if dimension is not None and len(values) >= 2:
            first, second = sorted(values)[:2]
            pairs[dimension, kind].append((values[first], values[second]))
    return pairs


def agreement(
    pairs: Sequence[Pair], *, dimension: str, kind: Kind, human: Sequence[tuple[str, str]], seed: int
) -> Agreement:
    scale = LEVELS if kind == "level" else VERDICTS
    counted = Counter((pair.human, pair.machine) for pair in pairs)
    constant, n_constant = Counter(pair.human for pair in pairs).most_common(1)[0]
    by_call: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for pair in pairs:
        by_call[pair.call_id][pair.human, pair.machine] += 1
    draws = drawn(list(by_call.values()), seed=seed)
    numbers = [(int(pair.machine) - int(pair.human)) for pair in pairs] if kind == "level" else yes_errors(pairs)
    return Agreement(
        dimension=dimension,
        kind=kind,
        n_labels=len(pairs),
        n_calls=len(by_call),
        exact=exact_share(counted),
        exact_interval=interval_of(exact_share, draws),
        kappa=kappa(counted, scale=scale, is_quadratic=kind == "level"),
        kappa_interval=kappa_interval(draws, scale=scale, is_quadratic=kind == "level"),
        within_one=sum(abs(number) <= 1 for number in numbers) / len(numbers) if kind == "level" else None,
        signed_error=sum(numbers) / len(numbers) if numbers else None,
        constant_answer=constant,
        constant_exact=n_constant / len(pairs),
        human_human_exact=sum(one == other for one, other in human) / len(human) if human else None,
        n_human_pairs=len(human),
        commonest_disagreement=commonest_disagreement(counted),
    )


def commonest_disagreement(counted: Counter[tuple[str, str]]) -> tuple[str, str, int] | None:
    apart = [(human, machine, n) for (human, machine), n in counted.most_common() if human != machine]
    return apart[0] if apart else None


def yes_errors(pairs: Iterable[Pair]) -> list[int]:
    """Machine minus human where both found an opportunity: a yes is 1."""
    both = [pair for pair in pairs if "not_applicable" not in (pair.human, pair.machine)]
    return [(pair.machine == "yes") - (pair.human == "yes") for pair in both]


def exact_share(counted: Mapping[tuple[str, str], int]) -> float:
    total = sum(counted.values())
    return sum(n for (human, machine), n in counted.items() if human == machine) / total


def kappa(counted: Mapping[tuple[str, str], int], *, scale: Sequence[str], is_quadratic: bool) -> float | None:
    """Cohen's kappa; None when either side always gives the same answer, which leaves nothing to agree by chance."""
    total = sum(counted.values())
    place = {value: index for index, value in enumerate(scale)}
    humans: Counter[str] = Counter()
    machines: Counter[str] = Counter()
    for (human, machine), n in counted.items():
        humans[human] += n
        machines[machine] += n

    def distance(one: str, other: str) -> float:
        if is_quadratic:
            return (place[one] - place[other]) ** 2 / (len(scale) - 1) ** 2
        return float(one != other)

    observed = sum(distance(human, machine) * n for (human, machine), n in counted.items()) / total
    expected = sum(
        distance(human, machine) * n_human * n_machine
        for human, n_human in humans.items()
        for machine, n_machine in machines.items()
    ) / (total * total)
    return None if expected == 0 else 1 - observed / expected


def drawn(calls: Sequence[Counter[tuple[str, str]]], *, seed: int) -> list[Counter[tuple[str, str]]]:
    """Bootstrap draws of calls, each summed to one table."""
    rng = random.Random(seed)
    draws = []
    for _ in range(N_DRAWS):
        table: Counter[tuple[str, str]] = Counter()
        for index, n_times in Counter(rng.choices(range(len(calls)), k=len(calls))).items():
            for cell, n in calls[index].items():
                table[cell] += n * n_times
        draws.append(table)
    return draws


def interval_of(
    statistic: Callable[[Mapping[tuple[str, str], int]], float], draws: Sequence[Mapping[tuple[str, str], int]]
) -> Interval:
    values = sorted(statistic(draw) for draw in draws)
    return Interval(low=values[int(0.025 * len(values))], high=values[int(0.975 * len(values)) - 1])


def kappa_interval(
    draws: Sequence[Mapping[tuple[str, str], int]], *, scale: Sequence[str], is_quadratic: bool
) -> Interval | None:
    values = [kappa(draw, scale=scale, is_quadratic=is_quadratic) for draw in draws]
    known = sorted(value for value in values if value is not None)
    if len(known) < len(values) * 0.9:
        return None
    return Interval(low=known[int(0.025 * len(known))], high=known[int(0.975 * len(known)) - 1])
