"""One document as Markdown, as an HTML e-mail with its plain-text twin, and as Slack blocks.

Quotes come from what customers said: every renderer escapes all text, and only web addresses become links.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from dagster_project.reviews.document import (
    Block,
    Bullets,
    Document,
    Heading,
    Links,
    Paragraph,
    Picture,
    Quote,
    Table,
)

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~!])")
# Slack's published limits
SLACK_BLOCKS, SLACK_SECTION, SLACK_HEADER, SLACK_FALLBACK = 50, 3_000, 150, 3_000
SLACK_CUT = "… more on the dashboard"

FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
WIDE_TABLE, CELL = 4, "padding:6px 6px;font-size:14px"
INK, MUTED, LINE, ACCENT = "#16212b", "#4d5963", "#d5dde3", "#0b5f58"


def one_line(text: str) -> str:
    """Without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def safe_url(url: str | None) -> str | None:
    """The address if it is one a reader may be sent to."""
    if url and url.startswith(("https://", "http://")) and not re.search(r"[\s<>\"'()|\\]", url):
        return url
    return None


# Markdown


def markdown(document: Document) -> str:
    """Readable as it is, and safe to render: nothing in it is markup that we did not write."""
    parts = [f"# {_md(document.title)}", _md(document.summary)]
    parts += [_markdown_block(block) for block in document.blocks]
    return "\n\n".join([*parts, f"*{_md(document.footer)}*"]) + "\n"


def _md(text: str) -> str:
    escaped = MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))
    # a line must not begin a list, a rule or a numbered item
    return re.sub(r"^([-+=]|\d+[.)])", r"\\\1", escaped)


def _md_link(text: str, url: str | None) -> str:
    address = safe_url(url)
    return f"[{_md(text)}]({address})" if address else _md(text)


def _markdown_block(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_md(block.text)}"
        case Paragraph():
            return _md(block.text)
        case Bullets():
            return "\n".join(f"- {_md(item)}" for item in block.items)
        case Quote():
            lines = [f"> “{_md(block.quote)}”", ">", f"> {_md_link(block.source, block.url)}"]
            return "\n".join([*lines, *([">", f"> {_md(block.comment)}"] if block.comment else [])])
        case Table():
            head = [f"| {' | '.join(map(_md, block.header))} |", f"|{' --- |' * len(block.header)}"]
            return "\n".join([*head, *(f"| {' | '.join(map(_md, row))} |" for row in block.rows)])
        case Picture():
            return f"*{_md(block.alt_text)}*"
        case Links():
            return "\n".join(f"- {_md_link(text, url)}: {_md(remark)}" for text, url, remark in block.items)


# plain text


def plain_text(document: Document) -> str:
    """The twin of the e-mail for readers of plain text."""
    parts = [one_line(document.title), one_line(document.summary)]
    parts += [_text_block(block) for block in document.blocks]
    return "\n\n".join([*parts, "-- ", one_line(document.footer)]) + "\n"


def _text_block(block: Block) -> str:
    match block:
        case Heading():
            text = one_line(block.text)
            return f"{text}\n{'-' * len(text)}"
        case Paragraph():
            return one_line(block.text)
        case Bullets():
            return "\n".join(f"* {one_line(item)}" for item in block.items)
        case Quote():
            lines = [f'"{one_line(block.quote)}"', f"  {_text_link(block.source, block.url)}"]
            return "\n".join([*lines, *([f"  {one_line(block.comment)}"] if block.comment else [])])
        case Table():
            return _text_table(block)
        case Picture():
            return f"[{one_line(block.alt_text)}]"
        case Links():
            return "\n".join(f"* {_text_link(text, url)}: {one_line(remark)}" for text, url, remark in block.items)


def _text_link(text: str, url: str | None) -> str:
    address = safe_url(url)
    return f"{one_line(text)} {address}" if address else one_line(text)


def _text_table(table: Table) -> str:
    rows = [tuple(map(one_line, row)) for row in (table.header, *table.rows)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


# HTML


def html(document: Document) -> str:
    """Tables and inline styles only: what mail programs agree on. Pictures are `cid:` parts of the same mail."""
    body = "\n".join(_html_block(block) for block in document.blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_h(document.title)}</title></head>\n"
        f'<body style="margin:0;padding:0;background:#f2f5f7;color:{INK};{FONT}">\n'
        f'<div style="display:none;max-height:0;overflow:hidden">{_h(document.summary)}</div>\n'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">\n'
        '<table role="presentation" width="640" cellpadding="0" cellspacing="0" '
        f'style="width:100%;max-width:640px;background:#ffffff;border:1px solid {LINE}">'
        '<tr><td style="padding:24px 5%">\n'
        f'<h1 style="font-size:22px;margin:0 0 8px">{_h(document.title)}</h1>\n'
        f'<p style="font-size:15px;line-height:1.5;margin:0 0 16px">{_h(document.summary)}</p>\n'
        f"{body}\n"
        f'<p style="font-size:12px;line-height:1.5;color:{MUTED};border-top:1px solid {LINE};margin:28px 0 0;'
        f'padding-top:12px">{_h(document.footer)}</p>\n'
        "</td></tr></table>\n</td></tr></table>\n</body></html>\n"
    )


def _h(text: str) -> str:
    return escape(one_line(text))


def _html_link(text: str, url: str | None) -> str:
    address = safe_url(url)
    return f'<a href="{escape(address)}" style="color:{ACCENT}">{_h(text)}</a>' if address else _h(text)


def _html_block(block: Block) -> str:
    paragraph = "font-size:15px;line-height:1.5;margin:0 0 12px"
    match block:
        case Heading():
            return f'<h2 style="font-size:17px;margin:26px 0 8px">{_h(block.text)}</h2>'
        case Paragraph():
            return f'<p style="{paragraph}">{_h(block.text)}</p>'
        case Bullets():
            items = "".join(f'<li style="margin:0 0 6px">{_h(item)}</li>' for item in block.items)
            return f'<ul style="{paragraph};padding-left:20px">{items}</ul>'
        case Quote():
            comment = f'<br><span style="color:{INK}">{_h(block.comment)}</span>' if block.comment else ""
            return (
                f'<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:0 0 14px"><tr>'
                f'<td style="border-left:3px solid {ACCENT};padding:2px 0 2px 12px;font-size:15px;line-height:1.5">'
                f"<em>“{_h(block.quote)}”</em><br>"
                f'<span style="font-size:13px;color:{MUTED}">{_html_link(block.source, block.url)}</span>'
                f"{comment}</td></tr></table>"
            )
        case Table():
            return _html_table(block)
        case Picture():
            return (
                f'<img src="cid:{escape(block.content_id)}" alt="{_h(block.alt_text)}" width="584" '
                'style="width:100%;max-width:584px;height:auto;margin:4px 0 12px">'
            )
        case Links():
            items = "".join(
                f'<li style="margin:0 0 6px">{_html_link(text, url)}: {_h(remark)}</li>'
                for text, url, remark in block.items
            )
            return f'<ul style="{paragraph};padding-left:20px">{items}</ul>'


def _html_table(table: Table) -> str:
    # six columns on a telephone: small, and words that may break
    is_wide = len(table.header) > WIDE_TABLE
    size = "padding:6px 3px;font-size:12px;hyphens:auto;overflow-wrap:anywhere" if is_wide else CELL
    cell = f"{size};border-bottom:1px solid {LINE};text-align:left;vertical-align:top"
    head = "".join(f'<th style="{cell}">{_h(text)}</th>' for text in table.header)
    rows = "".join(
        f"<tr>{''.join(f'<td style={chr(34)}{cell}{chr(34)}>{_h(text)}</td>' for text in row)}</tr>"
        for row in table.rows
    )
    return (
        '<table width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;margin:0 0 14px">'
        f"<tr>{head}</tr>{rows}</table>"
    )


# Slack


def slack_blocks(document: Document) -> list[dict[str, Any]]:
    """Blocks within Slack's limits; what does not fit is cut at a block's end and says so."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(one_line(document.title), SLACK_HEADER)}},
        _section(_slack(document.summary)),
    ]
    rendered = [section for block in document.blocks for section in _slack_sections(block)]
    room = SLACK_BLOCKS - len(blocks) - 1
    if len(rendered) > room:
        rendered = [*rendered[: room - 1], _section(SLACK_CUT)]
    footer = {"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(_slack(document.footer), SLACK_SECTION)}]}
    return [*blocks, *rendered, footer]


def slack_fallback(document: Document) -> str:
    """What notifications show in place of blocks."""
    return _cut(f"{_slack(document.title)}: {_slack(document.summary)}", SLACK_FALLBACK)


def _slack(text: str) -> str:
    """Slack reads `&`, `<` and `>`; a zero-width joiner keeps quoted stars and ticks from becoming markup."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([*_~`])", "\u200d\\1\u200d", escaped)


def _slack_link(text: str, url: str | None) -> str:
    address = safe_url(url)
    return f"<{address.replace('&', '&amp;')}|{_slack(text)}>" if address else _slack(text)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, SLACK_SECTION)}}


def _slack_sections(block: Block) -> list[dict[str, Any]]:
    match block:
        case Heading():
            return [_section(f"*{_slack(block.text)}*")]
        case Paragraph():
            return [_section(_slack(block.text))]
        case Bullets():
            return [_section(text) for text in _packed([f"• {_slack(item)}" for item in block.items])]
        case Quote():
            lines = [f"> “{_slack(block.quote)}”", f"> {_slack_link(block.source, block.url)}"]
            return [_section("\n".join([*lines, *([f"> {_slack(block.comment)}"] if block.comment else [])]))]
        case Table():
            lines = _text_table(block).replace("`", "'").splitlines()
            escaped = [line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines]
            return [_section(f"```{text}```") for text in _packed(escaped)]
        case Picture():
            return []
        case Links():
            return [
                _section(text)
                for text in _packed(
                    [f"• {_slack_link(text, url)}: {_slack(remark)}" for text, url, remark in block.items]
                )
            ]


def _packed(lines: Sequence[str]) -> list[str]:
    """Lines joined into as few texts as the limit of a section allows."""
    packed: list[str] = []
    for line in lines:
        short = _cut(line, SLACK_SECTION - 10)
        if packed and len(packed[-1]) + len(short) + 1 <= SLACK_SECTION - 10:
            packed[-1] += f"\n{short}"
        else:
            packed.append(short)
    return packed


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
