import re

import pytest
from markdown_it import MarkdownIt

from dagster_project.reviews import pictures, rendering
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
from streamlit_app.charts import Interval

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [click](javascript:alert(1)) **bold** `code` | cell "
    "<!channel> <@U123> <https://evil.example|bank> &amp; ![x](http://evil.example/x.png)\n# heading\n- item\r\n\x00"
)


def document(*blocks: Block, title: str = "Your week", summary: str = "Two calls.") -> Document:
    return Document(title=title, summary=summary, blocks=blocks, footer="Made for coaching.")


EVERY_BLOCK = (
    Heading(HOSTILE),
    Paragraph(HOSTILE),
    Bullets((HOSTILE, "second")),
    Quote(HOSTILE, HOSTILE, "https://app.gong.io/call?id=1&t=2", HOSTILE),
    Quote("quote", "source", "javascript:alert(1)"),
    Table(("A", HOSTILE), ((HOSTILE, "1"), ("b", "2"))),
    Picture("trends", HOSTILE, b"png"),
    Links(((HOSTILE, "https://app.gong.io/call?id=2", HOSTILE),)),
)


def test_nothing_said_in_a_call_becomes_markup_of_the_mail() -> None:
    page = rendering.html(document(*EVERY_BLOCK, title=HOSTILE, summary=HOSTILE))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert not re.findall(r'(?:href|src)="(?!https://app\.gong\.io/|cid:)', page)
    assert page.count("<img ") == 1
    assert 'href="https://app.gong.io/call?id=1&amp;t=2"' in page


def test_nothing_said_in_a_call_becomes_markup_of_the_markdown() -> None:
    text = rendering.markdown(document(*EVERY_BLOCK, title=HOSTILE, summary=HOSTILE))
    # the most permissive reading: raw HTML and tables on
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in page
    assert "<img" not in page
    assert "<strong>" not in page
    assert "<code>" not in page
    assert set(re.findall(r'href="([^"]*)"', page)) == {
        "https://app.gong.io/call?id=1&amp;t=2",
        "https://app.gong.io/call?id=2",
    }
    assert len(re.findall(r"<h1>", page)) == 1


def test_nothing_said_in_a_call_becomes_a_mention_or_a_link_in_slack() -> None:
    blocks = rendering.slack_blocks(document(*EVERY_BLOCK, title=HOSTILE, summary=HOSTILE))
    for block in blocks:
        for text in [block.get("text", {}).get("text", ""), *(e["text"] for e in block.get("elements", []))]:
            if block["type"] == "header":
                continue
            links = re.findall(r"<[^>]*>", text)
            assert all(link.startswith("<https://app.gong.io/") for link in links), links


def test_slack_blocks_keep_slacks_limits_however_long_the_review() -> None:
    long = "word " * 2000
    blocks = rendering.slack_blocks(
        document(
            *[Quote(long, long, "https://app.gong.io/call?id=1", long)] * 40,
            *[Bullets(tuple([long] * 30))] * 10,
            Table(("A", "B"), tuple((f"row {n}", "x" * 60) for n in range(300))),
            title=long,
            summary=long,
        )
    )
    assert len(blocks) == 50
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if "text" in block)
    assert any("more on the dashboard" in block.get("text", {}).get("text", "") for block in blocks)
    assert blocks[-1]["type"] == "context"


def test_the_plain_text_twin_says_what_the_page_says() -> None:
    text = rendering.plain_text(
        document(
            Heading("What went well"),
            Quote("It runs at night.", "Demo, at 3:10", "https://app.gong.io/call?id=1", "Discovery."),
            Table(("Dimension", "Rolling"), (("Discovery", "57 (n 10)"),)),
            Links((("Demo", "https://app.gong.io/call?id=2", "your best"),)),
        )
    )
    for expected in (
        "What went well\n--------------",
        '"It runs at night."\n  Demo, at 3:10 https://app.gong.io/call?id=1\n  Discovery.',
        "Dimension  Rolling\nDiscovery  57 (n 10)",
        "* Demo https://app.gong.io/call?id=2: your best",
    ):
        assert expected in text


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a b",
        'https://a"onclick=x',
        "//evil",
        "https://a|b",
    ],
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert rendering.safe_url(url) is None
    assert "href" not in rendering.html(document(Quote("q", "source", url)))


def test_a_name_with_characters_that_cannot_be_drawn_still_has_its_picture() -> None:
    interval = Interval(name="Ada \x01\x1f\ufffe Bell", score=60, low=50, high=70, n_calls=9)
    picture = pictures.standings([("discovery", interval)], content_id="standings", alt_text="Standings")
    assert picture is not None
    assert picture.png.startswith(b"\x89PNG")
