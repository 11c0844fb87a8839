"""Text of models as safe HTML. Knows markdown and the sanitiser; knows no page.

Raw HTML stays text, images become links, code is coloured by classes. The sanitiser has the last word, so a mistake
above it cannot put a script into a page.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from itertools import islice

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

TAGS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "target"},
    "code": {"class"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "pre": {"class", "tabindex", "role", "aria-label"},
    "ol": {"start"},
    "span": {"class"},
    "table": {"class"},
    "td": {"class"},
    "th": {"class"},
}
SCHEMES = {"http", "https", "mailto"}
COLOUR_LIMIT = 40_000  # characters of one code block; colouring more costs more than it tells
PLAIN_LIMIT = 200_000  # characters; a longer text is shown as it was written: reading it would take seconds
LINE_END = re.compile(r"\r\n|\r|\n")
OPEN_LIMIT = 20_000  # an open tail this long is handed over as it is, so that streaming never re-reads a whole answer


def render(text: str) -> SafeString:
    """Return the markdown as HTML that is safe to put into a page; a very long text is only escaped."""
    if len(text) > PLAIN_LIMIT:
        return format_html('<p class="said">{}</p>', text)
    html = _parser().render(text)
    # The sanitiser removes every script, handler and foreign address; only then is the text called safe.
    clean = nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel="noopener nofollow")
    return mark_safe(clean)


def split_blocks(text: str) -> tuple[str, str]:
    """Return the finished blocks of a growing text and the tail that may still change.

    The first part can be rendered now and never again; ``finished + tail == text`` always holds.
    """
    tops = [token for token in _parser().parse(text) if token.level == 0 and token.map and token.nesting >= 0]
    if len(tops) < 2:
        return ("", text) if len(text) < OPEN_LIMIT else (text, "")
    first_open = tops[-1].map[0] if tops[-1].map else 0
    # The parser counts these three as line ends and no others; str.splitlines has eight more.
    cut = next(islice(LINE_END.finditer(text), first_open - 1, None)).end() if first_open else 0
    return text[:cut], text[cut:]


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}, renderer_cls=_Renderer)
    return parser.enable(["table", "strikethrough"])


class _Renderer(RendererHTML):
    """HTML of the console: small headings, scrolling code and tables, links that leave the tab alone."""

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<{_heading(tokens[idx])}>"

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"</{_heading(tokens[idx])}>\n"

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        source = str(tokens[idx].attrGet("src") or "")
        words = tokens[idx].content or source
        return f'<a href="{escape(source)}" target="_blank">{escape(words)}</a>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        tokens[idx].attrSet("target", "_blank")
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="tw" tabindex="0" role="region" aria-label="Table"><table class="table">\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[idx])

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[idx])

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code_block(tokens[idx].content, tokens[idx].info.strip().split(" ")[0])

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code_block(tokens[idx].content, "")


def _heading(token: Token) -> str:
    # An answer's headings stand under the page's own h1 and h2.
    return f"h{min(6, int(token.tag[1]) + 2)}"


def _cell(token: Token) -> str:
    # The page policy allows no style attributes; right-aligned columns hold numbers.
    return f'<{token.tag} class="num">' if "right" in str(token.attrGet("style")) else f"<{token.tag}>"


def _code_block(code: str, language: str) -> str:
    label = escape(f"Code, {language}" if language else "Code")
    inner = _coloured(code, language)
    return f'<pre class="code hl" tabindex="0" role="region" aria-label="{label}">{inner}</pre>\n'


def _coloured(code: str, language: str) -> str:
    if not language or len(code) > COLOUR_LIMIT:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
