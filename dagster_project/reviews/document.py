"""A review as content without form: what the three renderers share. All text in it is plain text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Quote:
    """A sentence from a call, where it was said and what it shows. The sentence is somebody's words, never markup."""

    quote: str
    source: str
    url: str | None
    comment: str = ""


@dataclass(frozen=True)
class Table:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A chart; `alt_text` carries what it shows to those who do not see it."""

    content_id: str
    alt_text: str
    png: bytes


@dataclass(frozen=True)
class Links:
    items: tuple[tuple[str, str | None, str], ...]
    """Text, address and a remark."""


Block = Heading | Paragraph | Bullets | Quote | Table | Picture | Links


@dataclass(frozen=True)
class Document:
    title: str
    summary: str
    blocks: tuple[Block, ...]
    footer: str

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(block for block in self.blocks if isinstance(block, Picture))
