"""Turns that read like orders to the machine are flagged: they stay visible, and no marker is met on them.

The list is deliberately wide. A flag costs one turn as evidence; a miss could cost a verdict. It looks for talk about
the scoring itself, for text shaped like a prompt or an answer, and for encoded payloads, in the languages sales calls
of this kind are held in.
"""

# ruff: noqa: E501 - a pattern broken over lines can no longer be judged at a glance

import base64
import binascii
import re
import unicodedata
from collections.abc import Sequence

from dagster_project.analysis.transcripts import Turn

PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # orders to drop the rules
        r"\b(?:ignore|disregard|forget|override|bypass|skip|discard)\b.{0,40}\b(?:instruction|rubric|rule|prompt|polic|guideline|criteri|"
        r"marker|above|previous|prior|evidence|transcript)",
        r"\b(?:new|updated|revised|following|real|actual) (?:system )?(?:instruction|directive|prompt)s?\b",
        r"\b(?:system|developer|operator|admin(?:istrator)?) ?(?:prompt|message|instruction|override|note|mode)\b",
        r"\byou are (?:now|no longer)\b|\bfrom now on,? (?:you|answer|respond|reply|mark|score)\b|\bjailbreak|\bDAN mode\b",
        # talk to the judge
        r"\b(?:dear|hey|hi|hello|attention|note to|message (?:to|for)|instructions? (?:to|for)|if you are|as) (?:an? |the |any )?"
        r"(?:ai|a\.i\.|llm|language model|assistant model|claude|gpt|grader|evaluator|judge|scorer|reviewer model|scoring)\b",
        r"\b(?:claude|chat ?gpt|language model|llm|a\.?i\.? (?:model|grader|judge|scorer|reviewer|evaluator|assistant|system))\b"
        r".{0,60}\b(?:score|rate|grade|mark|answer|verdict|respond|output|reply|give|set|return|treat|report)",
        r"\bas (?:the|a|his|her|their|your) (?:sales )?(?:coach|manager|evaluator|grader|judge|reviewer)\b.{0,60}\b(?:rate|score|grade|mark|give|award)",
        # talk about verdicts
        r"\b(?:score|rate|grade|mark|give|award|set|assign|answer|verdict|evaluate)\w*\b.{0,50}"
        r"\b(?:10 ?(?:/|out of) ?10|5 ?(?:/|out of) ?5|a (?:perfect )?(?:ten|five|zero|one)\b|full marks|top marks|maximum|highest|perfect score|"
        r"hundred|100 ?%?|zero|lowest|minimum)\b",
        r"\b(?:mark|set|answer|count|treat|record|flip|make)\w*\b.{0,40}\b(?:every|all|each|this|these|the|any|as)\b.{0,30}"
        r"\b(?:met|yes|true|passed|satisfied|fulfilled|not_applicable|failed)\b",
        r"\b(?:all|every|each) (?:\w+ ){0,2}(?:marker|criteri|dimension|rubric)\w*",
        r"\b(?:marker|rubric|verdict|criterion)s?\b.{0,30}\b(?:met|yes|is|are|should|must|=|:)",
        r"\bverdict\b|\bnot_applicable\b|\bmarker_id\b|\bcriterion_id\b|\bturn_id\b|\bknowledge_id\b",
        r"\b(?:repeat|reveal|print|output|show|quote|leak|recite|dump)\b.{0,40}\b(?:system|prompt|instructions|knowledge base|rubric|policy|above)\b",
        # shapes: prompts, answers, delimiters, our own line format
        r"</?(?:system|user|assistant|human|instructions?|transcript|rubric|document|policy|prompt|turn|knowledge)\b[^>]*>?",
        r"(?:^|\s)(?:system|assistant|human|user|developer) ?: ",
        r"\[/?(?:INST|SYS|system)\]|<\|[^|]{1,30}\|>|#{2,} ?(?:system|instruction|rubric|end|new)|-{3,} ?(?:end|begin|system)|={3,}",
        r"\[\d+\|\d{2}:\d{2}\|",
        r"[{\[] ?[\"'][a-z_]+[\"'] ?:|```|\\n\\n|&lt;",
        r"\bend of (?:the )?(?:transcript|call|data|document|conversation)\b.{0,60}\b(?:now|instruction|score|answer|rate|mark|output)",
        # the same orders in other languages
        r"\b(?:ignorier|ignoriere|ignorieren|vergiss|missachte)\w*\b.{0,50}\b(?:anweisung|regel|vorgabe|rubrik|kriteri)",
        r"\b(?:ignor|oubli)\w*\b.{0,50}\b(?:instruction|consigne|r[eè]gle|grille|crit[eè]re)",
        r"\b(?:ignora|ignore|olvida|omite)\w*\b.{0,50}\b(?:instruccion|regla|r[uú]brica|criterio)",
        r"\b(?:ignor|esque[cç]|dimentic)\w*\b.{0,50}\b(?:instru[cç]|istruzion|regr|regol|rubric|crit[eé]ri)",
        r"\b(?:bewerte|bewertung|benote|vergib|note[zr]?|attribue[zr]?|califica|punt[uú]a|valuta|avali[ae])\w*\b.{0,50}"
        r"\b(?:10|5|f[uü]nf|zehn|h[oö]chst|maxim|m[aá]xim|cinq|dix|cinco|diez|cinque|dieci|dez|null|cero|z[eé]ro|voll)",
        r"(?:忽略|无视|無視).{0,12}(?:指令|说明|規則|规则|评分|指示|ルール)|(?:满分|滿分|満点|评分|打分)",
        r"(?:игнорируй|забудь).{0,40}(?:инструкц|правил)|(?:оцени|поставь).{0,40}(?:максим|балл|пят|десят)",
    )
)
ENCODED = re.compile(r"(?<![\w/+])[A-Za-z0-9+/]{24,}={0,2}(?![\w/+])")
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
# an order cut over several turns is only readable together
SPLIT_WINDOW = 3


def is_instruction_like(text: str) -> bool:
    if INVISIBLE.search(text):
        return True
    plain = unicodedata.normalize("NFKC", text)
    return any(pattern.search(plain) for pattern in PATTERNS) or hides_text(plain)


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
    flagged = {turn.turn_id for turn in turns if is_instruction_like(turn.text)}
    by_speaker: dict[str, list[Turn]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker_id, []).append(turn)
    for spoken in by_speaker.values():
        for first in range(len(spoken) - 1):
            for size in range(2, SPLIT_WINDOW + 1):
                window = spoken[first : first + size]
                if len(window) < size or any(turn.turn_id in flagged for turn in window):
                    break
                if is_instruction_like(" ".join(turn.text for turn in window)):
                    flagged.update(turn.turn_id for turn in window)
                    break
    return tuple(sorted(flagged))
