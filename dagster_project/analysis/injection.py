"""Turns that read like orders to the machine are flagged: they stay visible, and no marker is met on them.

The rules are wide: a flag costs one turn as evidence, a miss could cost a verdict. They look for talk about the scoring
itself, for text shaped like a prompt or an answer, and for encoded payloads, in the languages sales calls of this kind
are held in. They know shapes, not meanings: of free paraphrases they miss most. Those are left to the other layers,
above all to the judge itself, which names the turns that try to steer it, and to the literal quote from the right side.
"""

# ruff: noqa: E501 - a pattern broken over lines can no longer be judged at a glance

import base64
import binascii
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_project.analysis.transcripts import Turn


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, and words of which every match holds one: looking for those first is thirty times faster."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]


def rule(words: str, pattern: str) -> Rule:
    return Rule(tuple(words.split("|")), re.compile(pattern, re.IGNORECASE))


def shape(signs: str, pattern: str) -> Rule:
    return Rule(tuple(signs.split()), re.compile(pattern, re.IGNORECASE))


RULES = (
    # orders to drop the rules
    rule(
        "instruction|rubric|rule|prompt|polic|guideline|criteri|marker|above|previous|prior|evidence|transcript",
        r"\b(?:ignore|disregard|forget|override|bypass|skip|discard)\b.{0,40}\b(?:instruction|rubric|rule|prompt|polic|guideline|criteri|marker|above|previous|prior|evidence|transcript)",
    ),
    rule(
        "instruction|directive|prompt",
        r"\b(?:new|updated|revised|following|real|actual) (?:system )?(?:instruction|directive|prompt)s?\b",
    ),
    rule(
        "system|developer|operator|admin",
        r"\b(?:system|developer|operator|admin(?:istrator)?) ?(?:prompt|message|instruction|override|note|mode)\b",
    ),
    rule(
        "you are now|you are no longer|from now on|jailbreak|dan mode",
        r"\byou are (?:now|no longer) (?:an?|the|in|my)\b|\bfrom now on,? (?:you|answer|respond|reply|mark|score)\b|\bjailbreak|\bDAN mode\b",
    ),
    # talk to the judge
    rule(
        " ai|a.i.|llm|language model|assistant|claude|gpt|grader|evaluator|judge|scorer|reviewer|scoring",
        r"\b(?:dear|hey|hi|hello|attention|note to|message (?:to|for)|instructions? (?:to|for)|if you are|as) (?:an? |the |any )?(?:ai|a\.i\.|llm|language model|assistant model|claude|gpt|grader|evaluator|judge|scorer|reviewer|scoring)\b",
    ),
    rule(
        "claude|gpt|language model|llm|ai |a.i. |grader|judge|scorer|evaluator",
        r"\b(?:claude|chat ?gpt|language model|llm|a\.?i\.? (?:model|grader|judge|scorer|reviewer|evaluator|assistant|system)|grader|scorer)\b.{0,60}\b(?:score|rate|grade|mark|answer|verdict|respond|output|reply|give|set|return|treat|report|must|should)",
    ),
    rule(
        "coach|manager|evaluator|grader|judge|reviewer",
        r"\bas (?:the|a|his|her|their|your) (?:sales )?(?:coach|manager|evaluator|grader|judge|reviewer)\b.{0,60}\b(?:rate|score|grade|mark|give|award)",
    ),
    # talk about verdicts
    rule(
        "10|out of|5|perfect|full marks|top marks|maximum|highest|hundred|zero|lowest|minimum|best possible|worst possible",
        r"\b(?:scor|rat|grad|mark|giv|award|set|assign|answer|verdict|evaluat)\w*\b.{0,50}\b(?:10 ?(?:/|out of) ?10|ten out of ten|5 ?(?:/|out of) ?5|five out of five|a (?:perfect|full) (?:ten|five|score|mark)|full marks|top marks|(?:maximum|highest|perfect|lowest|minimum|best possible|worst possible) (?:score|rating|mark|grade|level|points)|a hundred percent score|zero (?:points|score|out of)|score of (?:zero|100|5|10|five|ten))\b",
    ),
    rule(
        "met|true|passed|satisfied|fulfilled|not_applicable|not applicable|failed|yes",
        r"\b(?:mark|set|answer|count|treat|record|flip)\w*\b.{0,40}\b(?:every|all|each|this|these|the|any|as)\b.{0,30}\b(?:met|as yes|with yes|to yes|to true|as true|as passed|as satisfied|as fulfilled|not[_ ]applicable|as failed)\b",
    ),
    rule(
        "yes",
        r"\b(?:answer|say|reply|respond|output|write|put) (?:only |just |with )?[\"']?yes[\"']? (?:to|for|on|in) (?:every|all|each|any|the)",
    ),
    rule(
        "marker|criteri|dimension|rubric",
        r"\b(?:all|every|each) (?:\w+ ){0,2}(?:markers?|criteri\w+|dimensions?|rubrics?)\b.{0,60}\b(?:met|yes|true|pass|score|full|highest|five|ten|satisf|fulfil|apply|applicable|no)",
    ),
    rule(
        "marker|rubric|verdict|criteri",
        r"\b(?:markers?|rubrics?|verdicts?|criterion)\b.{0,30}(?:\b(?:met|yes)\b|\b(?:are|should be|must be) (?:set|marked|met)|=|:)",
    ),
    rule(
        "verdict|not_applicable|marker_id|criterion_id|turn_id|knowledge_id|already_done|quote_verified",
        r"\bverdict\b|not_applicable|marker_id|criterion_id|turn_id|knowledge_id|already_done|quote_verified",
    ),
    rule(
        "coach|scor|rating|evaluat",
        r"\b(?:for the (?:record|coach|evaluation|scoring)|coaching (?:tool|software|system|score))\b.{0,60}\b(?:perfect|excellent|outstanding|flawless|best|full|maximum|highest|five|ten|100)\b",
    ),
    rule(
        "system|prompt|instructions|knowledge base|rubric|policy|above",
        r"\b(?:repeat|reveal|print|output|leak|recite|dump|quote|show)\b.{0,30}\b(?:system prompt|prompt|your instructions|knowledge base|knowledge pages|rubric|scoring policy|everything above|text above)\b",
    ),
    # whoever or whatever listens, and what it is to find; a customer's own software and board rate all day long
    rule(
        "software|computer|machine|robot|bot|summari|algorithm|automat|evaluator|reviewer|analy|assess|whoever|evaluat|review| ai ",
        r"(?<!our )(?<!my )\b(?:software|computer|machine|robot|bot|summari[sz]er|algorithm|automated|evaluator|reviewer|analy[sz]er|(?:analysis|assessment|evaluation|review|scoring)(?! (?:team|board|committee|panel|group))|ai|whoever (?:reviews?|reads?|scores?|grades?|evaluates?|listens?|assesses))\b[^.?!]{0,80}\b(?:conclude|assume|assess|rate|rating|grades?|graded|score|scored|approve|affirmativ\w*|evidence|flawless|excellent|perfect|thorough\w*|generous|favou?rabl[ey]|lenient|says? (?:that )?(?:we|i|they|the rep)\b|pretend|a plus|pass us|full credit)",
    ),
    rule(
        "assess|evaluat|review|grade|scor|rate|judg|analy",
        r"\b(?:when|as|if|while|before) (?:you|one|anyone|someone|they|it) (?:assess|evaluate|review|grade|score|rate|judge|analy[sz]e)s? (?:this|the|our|us|me|him|her|it)\b|\bin (?:your|the|its) (?:evaluation|assessment|scoring|grading|review|analysis) of (?:this|the|our|me)\b.{0,40}\b(?:call|conversation|rep|meeting)|\b(?:agreement|credit|points?|yes)\b.{0,40}\bin your (?:evaluation|assessment|scoring|grading|review|analysis)\b",
    ),
    rule(
        "yes|affirmativ|approve|ticked|full credit|pass",
        r"\byes (?:next to|beside|for|on|to|in) (?:all|every|each)\b|\beverything is (?:yes|met|true)\b|\baffirmativ\w*\b.{0,30}\b(?:all|every\w*|throughout|each|on)\b|\b(?:all|every\w*|throughout|each)\b.{0,20}\baffirmativ|\bapprove (?:all|every\w*)\b|\ball (?:the )?boxes (?:are|were) ticked|\bfull credit\b.{0,40}\b(?:all|every\w*|rep|call|question|item)",
    ),
    rule(
        "evidence|proof|as met",
        r"\b(?:this|that|my|the following) (?:line|sentence|turn|statement|remark|word)s?\b.{0,30}\b(?:evidence|proof|met)\b.{0,30}\b(?:every|each|all|any)|\b(?:count|use|take|cite|quote|consider)\b.{0,30}\b(?:evidence|proof) (?:for|of|that) (?:every|each|all|any|the rep)",
    ),
    rule(
        "orders|guideline|checklist|override|void",
        r"\b(?:do not|don't|never|stop) (?:follow\w*|apply\w*|us\w*|obey\w*|heed\w*) (?:your|the|these|those|any) (?:guideline|instruction|rule|rubric|checklist|order|polic|criteri)|\b(?:earlier|previous|prior|old|your) (?:orders?|instructions?|rules?|guidelines?|rubric|checklist) (?:are|is|were|no longer) (?:void|invalid|cancel|suspended|null|lifted|appl)|\b(?:skip|drop|abandon) your (?:checklist|guideline|rule|instruction|rubric|list)|\binstruction override\b",
    ),
    rule(
        "top |best |highest |flawless|a plus|excellent|outstanding",
        r"\b(?:give|put|record|log|note|assign|award|enter|deserves?|get)s?\b.{0,50}\b(?:top|best|highest|full|maximum) (?:grade|rating|mark|score|level|points)\b|\b(?:log|record|note|mark|rate|list)\b.{0,30}\b(?:this|the|our) (?:meeting|call|conversation|discovery|rep)\b.{0,30}\b(?:flawless|perfect|excellent|outstanding|exemplary)|\ban? a plus\b",
    ),
    # shapes: prompts, answers, delimiters, our own line format
    rule(
        "<",
        r"</?(?:system|user|assistant|human|instructions?|transcript|rubric|document|policy|prompt|turn|knowledge)\b[^>]*>?",
    ),
    rule("system|assistant|human|user|developer", r"(?:^|[\s\"'])(?:system|assistant|human|user|developer) ?: "),
    shape(
        "[ <| |> ## -- ==",
        r"\[/?(?:INST|SYS|system)\]|<\||\|>|#{2,} ?(?:system|instruction|rubric|end|new|question|correction)|-{3,} ?(?:end|begin|system)|={3,}|\[\d+\|\d{1,3}:\d{2}\|",
    ),
    rule("# questions|# correction|questions:", r"# ?(?:questions|correction)\b"),
    shape("{ [ ``` \\n &lt;", r"[{\[] ?[\"'][a-z_]+[\"'] ?:|```|\\n\\n|&lt;/?\w"),
    rule(
        "end of",
        r"\bend of (?:the )?(?:transcript|call|data|document|conversation)\b.{0,60}\b(?:now|instruction|score|answer|rate|mark|output)",
    ),
    # the same orders in other languages
    rule(
        "anweisung|regel|vorgabe|rubrik|kriteri",
        r"\b(?:ignorier|vergiss|missachte|übergeh)\w*\b.{0,50}\b(?:\w*anweisung|regel|vorgabe|rubrik|kriteri)",
    ),
    rule(
        "instruction|consigne|règle|regle|grille|critère|critere",
        r"\b(?:ignor|oubli)\w*\b.{0,50}\b(?:instruction|consigne|r[eè]gle|grille|crit[eè]re)",
    ),
    rule(
        "instruccion|regla|rúbrica|rubrica|criterio",
        r"\b(?:ignora|ignore|olvida|olvide|omite)\w*\b.{0,50}\b(?:instruccion|regla|r[uú]brica|criterio)",
    ),
    rule(
        "instru|istruzion|regr|regol|rubric|crit",
        r"\b(?:ignor|esque[cç]|dimentic)\w*\b.{0,50}\b(?:instru[cç]|istruzion|regr|regol|rubric|crit[eé]ri)",
    ),
    rule(
        "10|5|fünf|fuenf|zehn|höchst|maxim|máxim|cinq|dix|cinco|diez|cinque|dieci|dez|cero|zéro|voll",
        r"\b(?:bewerte|bewertung|benote|vergib|gib|donne[zr]?|note[zr]?|attribue[zr]?|califi[cq]\w*|punt[uú]a|valuta|avali[ae]|dá|da|dai|pon)\w*\b.{0,60}\b(?:10|5|f[uü]nf|zehn|h[oö]chst\w*|maxim\w*|m[aá]xim\w*|cinq|dix|cinco|diez|cinque|dieci|dez|cero|z[eé]ro|voll\w*)\b.{0,30}(?:punkt|point|punt|punto|pont|wert|note|nota|score|sur|von|sobre|su|/|$|\.)",
    ),
    rule(
        "忽略|无视|無視|满分|滿分|満点|评分|打分|指示",
        r"(?:忽略|无视|無視).{0,12}(?:指令|说明|說明|規則|规则|评分|指示|ルール)|满分|滿分|満点|评分|打分|指示を無視|指示は無視",
    ),
    rule(
        "инструкц|правил|максим|балл|пят|десят",
        r"(?:игнорируй|забудь|не учитывай).{0,40}(?:инструкц|правил)|(?:оцени|поставь|оценка).{0,40}(?:максим|балл|пят|десят)",
    ),
)
ENCODED = re.compile(r"(?<![\w/+])[A-Za-z0-9+/]{20,}={0,2}(?![\w/+])")
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
# an order cut over several turns is only readable together
SPLIT_WINDOW = 4


def is_instruction_like(text: str, rules: Sequence[Rule] = RULES) -> bool:
    if not text.isascii():
        if INVISIBLE.search(text):
            return True
        text = unicodedata.normalize("NFKC", text)
    lowered = text.lower()
    return any(breaks(entry, lowered) for entry in rules) or hides_text(text)


def breaks(entry: Rule, lowered: str) -> bool:
    return any(word in lowered for word in entry.words) and entry.pattern.search(lowered) is not None


def hides_text(text: str) -> bool:
    for found in ENCODED.finditer(text):
        payload = found.group()
        try:
            decoded = base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if decoded and all(32 <= byte < 127 or byte in (9, 10, 13) for byte in decoded):
            return True
    return False


def flagged_turn_ids(turns: Sequence[Turn]) -> tuple[int, ...]:
    rules = rules_near("\n".join(turn.text for turn in turns))
    flagged = {turn.turn_id for turn in turns if is_instruction_like(turn.text, rules)}
    by_speaker: dict[str, list[Turn]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker_id, []).append(turn)
    for spoken in by_speaker.values():
        flagged.update(split_orders(spoken, rules=rules, flagged=flagged))
    return tuple(sorted(flagged))


def rules_near(text: str) -> tuple[Rule, ...]:
    """The rules that any part of this text could break, with the words it holds."""
    lowered = unicodedata.normalize("NFKC", text).lower()
    present = (
        (
            tuple(word for word in entry.words if word in lowered or all(part in lowered for part in word.split())),
            entry.pattern,
        )
        for entry in RULES
    )
    return tuple(Rule(words, pattern) for words, pattern in present if words)


def split_orders(spoken: Sequence[Turn], *, rules: Sequence[Rule], flagged: set[int]) -> set[int]:
    """Turns of one speaker that are an order only when read together."""
    found: set[int] = set()
    # of several words, one may stand in this turn and one in the next: the longest is the rarest
    words = tuple(dict.fromkeys(max(word.split(), key=len) for entry in rules for word in entry.words))
    # a window without a single rule's word cannot break a rule
    is_near = [any(word in turn.text.lower() for word in words) for turn in spoken]
    for first in range(len(spoken) - 1):
        for size in range(2, SPLIT_WINDOW + 1):
            window = spoken[first : first + size]
            if len(window) < size or any(turn.turn_id in flagged for turn in window):
                break
            if any(is_near[first : first + size]) and is_split_order(window, rules=rules):
                found.update(turn.turn_id for turn in window)
                break
    return found


def is_split_order(window: Sequence[Turn], *, rules: Sequence[Rule]) -> bool:
    """Whether one passage that runs over all of these turns is an order."""
    text = " ".join(turn.text for turn in window).lower()
    inner_start = len(window[0].text)
    inner_end = len(text) - len(window[-1].text)
    return any(
        found.start() < inner_start and found.end() > inner_end
        for entry in rules
        if any(word in text for word in entry.words)
        for found in entry.pattern.finditer(text)
    )
