"""What people said, made safe to show and to hand to a model: nothing invisible, nothing that turns the text around."""

import re
import unicodedata

# zero-width, bidirectional controls, byte-order mark, variation and tag characters: no reader sees them, a model does
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e01ef]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """The text without characters that a reader would not see."""
    return _CONTROLS.sub("", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))


def clock(milliseconds: int) -> str:
    """Minutes and seconds into the call."""
    seconds = max(0, milliseconds) // 1000
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"


def excerpt(text: str, limit: int) -> str:
    """The end of a long text from a word on: what was said last is what was answered."""
    return text if len(text) <= limit else "… " + text[-limit:].partition(" ")[2]
