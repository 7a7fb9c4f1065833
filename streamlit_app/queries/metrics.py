"""What every number means: help texts, the `describe_metric` tool and the metric resource.

Analysts read the same definitions in `marts.dim_metrics`; a test holds both to the same words.
"""

from dataclasses import dataclass

# Below these a number says more about luck than about a person.
MIN_N_SHOW = 5
MIN_N_RANK = 8
MIN_N_TREND = 8

DIMENSIONS = ("product_knowledge", "discovery", "objections", "engagement")
DIMENSION_TITLES = {
    "product_knowledge": "Product knowledge",
    "discovery": "Discovery",
    "objections": "Objection handling",
    "engagement": "Engagement",
}


@dataclass(frozen=True, kw_only=True)
class MetricDefinition:
    """A metric's meaning as a person and a model are told it."""

    metric: str
    title: str
    definition: str
    unit: str
    grain: str
    when_empty: str
    caution: str
    source: str


METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        metric="dimension_score",
        title="Dimension score",
        definition=(
            "How one rep did on one call in one dimension. Claude answers observable yes/no markers with "
            "quotes; code turns markers into criterion levels 1 to 5 and weighs the levels by the rep's role"
            " into 0 to 100."
        ),
        unit="0 to 100",
        grain="call, rep and dimension",
        when_empty=(
            "Not applicable when under 60 % of the weight could be observed on the call; never counted as zero."
        ),
        caution="A single call is one observation. Read it with its quotes, not as a grade.",
        source="marts.fct_scores.score",
    ),
    MetricDefinition(
        metric="criterion_level",
        title="Criterion level",
        definition=(
            "Level 1 (absent) to 5 (consistent and the customer confirms it) of one criterion on one call, "
            "computed from its markers. A 5 needs a sentence of the customer's."
        ),
        unit="1 to 5",
        grain="call, rep and criterion",
        when_empty="Not applicable when none of the criterion's markers had an opportunity on the call.",
        caution="Compare levels only under the same rubric version.",
        source="marts.fct_criterion_scores.level",
    ),
    MetricDefinition(
        metric="mean_score",
        title="Mean score",
        definition=(
            "Mean of the per-call dimension scores in the window; calls without an applicable one are left out."
        ),
        unit="0 to 100",
        grain="rep, dimension and window",
        when_empty="Shown from 5 scored calls on; below that the number is withheld.",
        caution="Never a mean of weekly means: a week with one call would weigh as much as a week with ten.",
        source="avg(marts.fct_scores.score) where is_current",
    ),
    MetricDefinition(
        metric="rolling_score",
        title="Rolling score",
        definition="Mean of a rep's last ten scored calls up to the end of the week, with its 95 % interval.",
        unit="0 to 100",
        grain="rep, dimension and week",
        when_empty="Withheld under 5 scored calls.",
        caution="The running week is marked: it holds only the calls so far.",
        source="marts.mart_rep_trends.rolling_score",
    ),
    MetricDefinition(
        metric="trend_signal",
        title="Trend signal",
        definition=(
            "Up or down when the slope over the calls is distinguishable from zero at q < 0.10 after "
            "correcting for the number of reps and dimensions tested (Benjamini-Hochberg); otherwise no "
            "clear change."
        ),
        unit="up, down, no clear change, too few calls",
        grain="rep, dimension and week",
        when_empty="Too few calls: under 8 scored calls or under 4 weeks.",
        caution="Most week-to-week movement is noise; no clear change is the usual and honest answer.",
        source="marts.mart_rep_trends.signal",
    ),
    MetricDefinition(
        metric="leaderboard_score",
        title="Leaderboard score",
        definition=(
            "A rep's mean pulled towards the team's mean in proportion to how few calls it rests on "
            "(empirical Bayes), with a 95 % interval. Tiers say whether the interval is clear of the team's "
            "mean."
        ),
        unit="0 to 100",
        grain="team, dimension, window and rep",
        when_empty="Not ranked yet under 8 scored calls in the window.",
        caution="Nobody can name the true number one: read tiers and intervals, not places.",
        source="marts.mart_leaderboard.score",
    ),
    MetricDefinition(
        metric="coverage",
        title="Coverage",
        definition="Calls with at least one dimension scored, divided by the calls that are eligible for scoring.",
        unit="percent",
        grain="any set of calls",
        when_empty="Empty when no call was eligible.",
        caution="Low coverage means the other numbers speak for fewer calls than were held.",
        source="marts.fct_calls.is_scored / is_eligible",
    ),
    MetricDefinition(
        metric="quote_verified_rate",
        title="Quotes verified",
        definition="Share of quotes found word for word in the turn they name. Others are dropped and counted.",
        unit="percent",
        grain="dimension and rubric version",
        when_empty="Empty when no quote was checked.",
        caution="A verified quote proves that it was said, not that the judgement about it is right.",
        source="marts.mart_judge_quality",
    ),
    MetricDefinition(
        metric="talk_ratio",
        title="Talk ratio",
        definition="The rep's speaking time divided by all speaking time; a rep's value is the mean over calls.",
        unit="percent",
        grain="call and speaker",
        when_empty="Empty when the transcript carries no times.",
        caution="A correlation in vendor studies, not a target. The band depends on the type of call.",
        source="marts.fct_call_participants.talk_ratio",
    ),
    MetricDefinition(
        metric="longest_monologue",
        title="Longest monologue",
        definition="The rep's longest uninterrupted turn on the call.",
        unit="seconds",
        grain="call and speaker",
        when_empty="Empty when the transcript carries no times.",
        caution="Demos run longer than discovery calls.",
        source="marts.fct_call_participants.longest_monologue_s",
    ),
    MetricDefinition(
        metric="patience",
        title="Patience",
        definition="Median pause between the end of a customer's turn and the start of the rep's next one.",
        unit="seconds",
        grain="call and speaker",
        when_empty="Empty without a customer turn before a rep's turn.",
        caution="Overlapping speech counts as zero.",
        source="marts.fct_call_participants.patience_s",
    ),
    MetricDefinition(
        metric="cost_per_scored_call",
        title="Cost per scored call",
        definition="All request costs, failed and repeated ones included, divided by the distinct calls scored.",
        unit="US dollars",
        grain="any set of days",
        when_empty="Empty when no call was scored.",
        caution="Sandbox costs are what Claude would have charged for the same tokens; nothing was paid.",
        source="marts.mart_llm_costs",
    ),
    MetricDefinition(
        metric="cache_hit_rate",
        title="Prompt cache hit rate",
        definition="Input tokens read from the prompt cache divided by all input tokens.",
        unit="percent",
        grain="any set of requests",
        when_empty="Empty when nothing was sent.",
        caution="Answers served from the result cache send nothing at all and are counted apart.",
        source="marts.mart_llm_costs",
    ),
    MetricDefinition(
        metric="agreement_with_managers",
        title="Managers agree",
        definition="Share of reviewed moments that a manager marked as agree; the newest mark of a person counts.",
        unit="percent",
        grain="dimension and rubric version",
        when_empty="Empty until a manager has reviewed a moment.",
        caution="Managers choose what they review, so this is not a sample of all moments.",
        source="marts.fct_moment_reviews",
    ),
    MetricDefinition(
        metric="interruption_rate",
        title="Interruptions",
        definition=(
            "Share of a rep's turns after a customer's that begin more than 200 ms before the customer has finished."
        ),
        unit="share, 0 to 1",
        grain="call and speaker",
        when_empty="Empty without a customer turn before a turn of the rep.",
        caution="Listening words such as mm-hmm are no turns and no interruptions.",
        source="marts.fct_call_participants.interruption_rate",
    ),
    MetricDefinition(
        metric="switches_per_min",
        title="Switches per minute",
        definition="How often the speaker changes per minute of the call, listening words left out.",
        unit="per minute",
        grain="call",
        when_empty="Empty when the transcript carries no times.",
        caution=(
            "Not Gong's interactivity, whose formula is not published; Gong's own value stands in gong_interactivity."
        ),
        source="marts.fct_call_participants.switches_per_min",
    ),
    MetricDefinition(
        metric="questions_per_hour",
        title="Questions per hour",
        definition="Sentences of a speaker that end in a question mark, per hour of the call.",
        unit="per hour",
        grain="call and speaker",
        when_empty="Empty when the transcript carries no times.",
        caution="Requests without a question mark are not counted; a target here teaches interrogation.",
        source="marts.fct_call_participants.questions_per_hour",
    ),
    MetricDefinition(
        metric="points_to_gain",
        title="Points to gain",
        definition=(
            "How many points of the dimension's score a rep would gain by reaching level 5 on the criterion:"
            " weight x (5 - mean level) / 4."
        ),
        unit="points of 100",
        grain="rep, criterion and window",
        when_empty="Empty under 5 calls the criterion applied in.",
        caution="It says where there is room, not what is easy to learn.",
        source="marts.mart_skill_gaps.points_to_gain",
    ),
    MetricDefinition(
        metric="priority_points",
        title="Priority",
        definition=(
            "Skill gap up to 30, recency up to 20, deal value up to 20, customer sentiment up to 10, risk up"
            " to 15, a suggestion 5."
        ),
        unit="0 to 100",
        grain="coaching moment",
        when_empty="Never empty.",
        caution="It orders a list; the reason beside it says why.",
        source="marts.mart_coaching_queue.priority_points",
    ),
    MetricDefinition(
        metric="saved_against_no_caching",
        title="Saved against no caching",
        definition=(
            "What the same answers would have cost had nothing been cached, less what was paid; a served "
            "answer counts as what it cost when it was made."
        ),
        unit="US dollars",
        grain="day, model and dimension",
        when_empty="0 when nothing was cached.",
        caution="Cautious: a served answer was itself made with a warm prompt cache.",
        source="marts.mart_cache_savings.saved_against_no_caching_usd",
    ),
    MetricDefinition(
        metric="saved_against_rubric_only",
        title="Saved against rubric-only caching",
        definition=(
            "The same against a tool that caches instructions and knowledge but sends the transcript as "
            "plain input each time."
        ),
        unit="US dollars",
        grain="day, model and dimension",
        when_empty="0 when nothing was cached.",
        caution="The length of a transcript is read from what the leading request wrote to the cache.",
        source="marts.mart_cache_savings.saved_against_rubric_only_usd",
    ),
    MetricDefinition(
        metric="kappa",
        title="Agreement with human scores",
        definition=(
            "Quadratic weighted kappa between machine levels and the levels people gave on scorecards for "
            "the same call and criterion."
        ),
        unit="-1 to 1",
        grain="dimension and rubric version",
        when_empty="Empty without human scores of a matching criterion.",
        caution=(
            "Read it beside n: under 50 pairs it says little. People do not agree more than about 0.7 with each other."
        ),
        source="marts.mart_judge_quality.kappa",
    ),
    MetricDefinition(
        metric="repeat_score_sd",
        title="Repeat spread",
        definition=(
            "Standard deviation of the score when the same question about the same transcript is answered again."
        ),
        unit="points of 100",
        grain="dimension and rubric version",
        when_empty="Empty until an answer was repeated by force.",
        caution="Differences between calls smaller than this mean nothing.",
        source="marts.mart_judge_quality.repeat_score_sd",
    ),
)

METRICS_BY_NAME = {definition.metric: definition for definition in METRICS}


def help_for(metric: str) -> str:
    """Markdown for a tooltip: what the number is, when it is empty, what to beware of."""
    found = METRICS_BY_NAME[metric]
    return f"{found.definition}\n\n*When empty:* {found.when_empty}\n\n*Beware:* {found.caution}"
