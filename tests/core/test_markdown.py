"""Text of models as HTML: what is shown, what must never run."""

from html.parser import HTMLParser

import pytest

from apps.core.markdown import PLAIN_LIMIT, render, split_blocks

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=http://example.com/x.png onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    '[x](https://e.com "onmouseover=alert(1)")',
    "![x](javascript:alert(1))",
    "<svg/onload=alert(1)>",
    '```html"><img src=x onerror=alert(1)>\n<script>alert(1)</script>\n```',
    "<a href='https://e.com' style='position:fixed'>x</a>",
    "[x]: javascript:alert(1)\n\n[x]",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


class Elements(HTMLParser):
    """The tags and attributes a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_an_answer_runs_or_loads(text: str) -> None:
    found = Elements()
    found.feed(render(text))

    assert found.tags.isdisjoint({"script", "img", "svg", "iframe", "style", "form"})
    assert {name for name, _ in found.attributes} <= {
        "href",
        "title",
        "target",
        "rel",
        "class",
        "tabindex",
        "role",
        "aria-label",
    }
    assert all(str(value).startswith("https://e.com") for name, value in found.attributes if name == "href")


def test_links_leave_the_tab_alone() -> None:
    html = render("[docs](https://example.com/a?b=1&c=2)")

    assert 'href="https://example.com/a?b=1&amp;c=2"' in html
    assert 'target="_blank"' in html
    assert 'rel="noopener nofollow"' in html


def test_a_remote_image_becomes_a_link() -> None:
    html = render("![a plan](https://example.com/plan.png)")

    assert '<a href="https://example.com/plan.png"' in html
    assert "a plan</a>" in html


def test_code_is_coloured_by_classes() -> None:
    html = render("```python\ndef f(): pass\n```")

    assert '<span class="k">def</span>' in html
    assert 'aria-label="Code, python"' in html


def test_code_of_an_unknown_language_is_shown_as_it_is() -> None:
    assert "a &lt; b" in render("```klingon\na < b\n```")


def test_tables_scroll_in_their_own_box() -> None:
    html = render("| a | b |\n|---|--:|\n| 1 | 2 |")

    assert '<div class="tw" tabindex="0" role="region" aria-label="Table">' in html
    assert '<td class="num">2</td>' in html
    assert " style=" not in html


def test_headings_stand_under_the_page_title() -> None:
    assert "<h3>One</h3>" in render("# One")


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("One para", ""),
        ("One\n\nTwo", "One\n\n"),
        ("One\n\n- a\n- b", "One\n\n"),
        ("One\n\n```python\nx = 1\n\ny", "One\n\n"),
        ("```python\nx\n```\n\nAfter", "```python\nx\n```\n\n"),
        ("", ""),
    ],
)
def test_only_the_last_block_stays_open(text: str, finished: str) -> None:
    assert split_blocks(text) == (finished, text[len(finished) :])


@pytest.mark.parametrize("mark", ["\f", "\v", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_line_ends_of_markdown_count(mark: str) -> None:
    first = f"One{mark}more{mark}and more\n\n"

    assert split_blocks(first + "Two") == (first, "Two")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_of_markdown_counts(end: str) -> None:
    first = f"One{end}more{end}{end}"

    assert split_blocks(first + "Two") == (first, "Two")


def test_blocks_rendered_as_they_finish_equal_the_whole() -> None:
    text = "# T\n\nA *b* c\n\n1. x\n2. y\n\n```js\nlet a\n```\n\nEnd"
    done, shown = "", ""

    for end in range(len(text) + 1):
        finished, _ = split_blocks(text[len(done) : end])
        done, shown = done + finished, shown + (render(finished) if finished else "")

    assert shown + render(text[len(done) :]) == render(text)


def test_a_very_long_text_is_only_escaped() -> None:
    html = render("*a* <b>" + "x" * PLAIN_LIMIT)

    assert html.startswith('<p class="said">*a* &lt;b&gt;xxx')
