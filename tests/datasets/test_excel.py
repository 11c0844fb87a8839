"""Excel files: what their cells become, and files made to harm."""

import io
import zipfile
from typing import Any

import pytest

from apps.core import db
from apps.core.errors import TooLarge
from apps.datasets import excel
from apps.datasets.models import Dataset
from apps.datasets.readers import Unreadable
from tests.datasets.test_sources import QA, coded, of_uri, rows_of
from tests.spec.calls import Checked

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LINK = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
SHEETS = '<sheet name="Hidden" sheetId="1" state="hidden" r:id="rId1"/><sheet name="Rows" sheetId="2" r:id="rId2"/>'
BOOK = f"<workbook {MAIN} {LINK}><sheets>{SHEETS}</sheets></workbook>"
RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Target="worksheets/sheet2.xml"/>'
    "</Relationships>"
)
# Styles 0 to 4: general, date, date and time by a format of one's own, text that only looks like one, hours.
STYLES = (
    f'<styleSheet {MAIN}><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm"/>'
    '<numFmt numFmtId="165" formatCode="0.0&quot; days&quot;"/><numFmt numFmtId="166" formatCode="[h]:mm"/></numFmts>'
    '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/></cellXfs></styleSheet>'
)
STRINGS = (
    f"<sst {MAIN}><si><t>question</t></si><si><r><t>ans</t></r><r><t>wer</t></r><rPh><t>xx</t></rPh></si>"
    '<si><t xml:space="preserve"> a &amp; b_x000D_\n</t></si></sst>'
)


def book(rows: str, **parts: str) -> bytes:
    """Return a workbook whose visible sheet has these rows."""
    files = {
        "xl/workbook.xml": BOOK, "xl/_rels/workbook.xml.rels": RELS, "xl/styles.xml": STYLES,
        "xl/sharedStrings.xml": STRINGS, "xl/worksheets/sheet1.xml": "<worksheet/>",
        "xl/worksheets/sheet2.xml": f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>", **parts,
    }  # fmt: skip
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    return file.getvalue()


def values(body: bytes) -> list[Any]:
    return [line.value for line in excel.read(io.BytesIO(body))]


def text_row(*cells: str) -> str:
    return "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells) + "</row>"


def of_cells(cells: str) -> Any:
    [value] = values(book(text_row("a") + f"<row>{cells}</row>"))
    return value["a"]


@pytest.mark.parametrize("mime", [MIME, "xlsx"])
async def test_a_workbook_in_the_address_is_read(beta: Checked, mime: str) -> None:
    body = book(text_row("question", "answer") + text_row("What?", "This") + text_row("Why?", "Because"))
    assert await rows_of(beta, coded(mime, body)) == QA


def test_shared_text_and_places_are_followed() -> None:
    rows = (
        '<row r="3"><c r="B3" t="s"><v>0</v></c><c r="D3" t="s"><v>1</v></c></row>'
        '<row r="4"/><row r="7"><c r="B7" t="s"><v>2</v></c><c r="C7" s="1"/></row>'
    )
    [line] = list(excel.read(io.BytesIO(book(rows))))
    assert (line.number, line.value) == (7, {"question": " a & b\r\n"})


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("<c><v>7</v></c>", 7), ("<c><v>-12345678901234567890</v></c>", -12345678901234567890),
        ("<c><v>2.5</v></c>", 2.5), ("<c><v>1E+20</v></c>", 1e20), ('<c t="b"><v>1</v></c>', True),
        ('<c t="e"><v>#N/A</v></c>', None), ('<c t="str"><f>A1&amp;"x"</f><v>made</v></c>', "made"),
        ('<c t="d"><v>2024-05-01</v></c>', "2024-05-01"), ('<c s="1"><v>45413</v></c>', "2024-05-01"),
        ('<c s="2"><v>45413.5</v></c>', "2024-05-01T12:00:00"), ('<c s="3"><v>2.5</v></c>', 2.5),
        ('<c s="4"><v>0.25</v></c>', "06:00:00"), ('<c s="1"><v>1</v></c>', "1900-01-01"),
        ('<c s="1"><v>61</v></c>', "1900-03-01"), ('<c s="1"><v>-3</v></c>', -3), ("<c><v>1e999</v></c>", None),
        ('<c t="inlineStr"><is/></c>', ""),
    ],
)  # fmt: skip
def test_cells_keep_what_they_are(cell: str, value: Any) -> None:
    found = of_cells(cell)
    assert found == value and type(found) is type(value)


def test_dates_count_from_where_the_workbook_says() -> None:
    old = BOOK.replace("<sheets>", '<workbookPr date1904="1"/><sheets>')
    body = book(text_row("a") + '<row><c s="1"><v>1</v></c></row>', **{"xl/workbook.xml": old})
    assert values(body) == [{"a": "1904-01-02"}]


def test_a_cell_beyond_the_header_makes_a_bad_line() -> None:
    lines = list(excel.read(io.BytesIO(book(text_row("a") + text_row("1", "2") + text_row("3")))))
    assert [(line.number, line.value) for line in lines] == [(2, None), (3, {"a": "3"})]
    assert "column 2" in lines[0].error


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
HARMFUL = {
    "no zip": b"PK\3\4 not really", "old format": b"\xd0\xcf\x11\xe0" + b"\0" * 600, "empty": b"",
    "no parts": b"PK\5\6" + b"\0" * 18,
    "names a column twice": book(text_row("a", "a")),
    "entities": book("", **{"xl/sharedStrings.xml": f"{ENTITIES}<sst><si><t>&b;</t></si></sst>"}),
    "a file of the server": book("", **{"xl/worksheets/sheet2.xml": f"{OUTSIDE}<worksheet>&a;</worksheet>"}),
    "broken XML": book("<row>"), "no such text": book(text_row("a") + '<row><c t="s"><v>99</v></c></row>'),
    "a column nobody has": book('<row><c r="ZZZ1"><v>1</v></c></row>'),
    "a number nobody has": book(text_row("a") + "<row><c><v>much</v></c></row>"),
    "a row nobody has": book(f'<row r="{"9" * 5000}"/>'),
    "no sheet": book("", **{"xl/workbook.xml": f"<workbook {MAIN}/>"}),
    "a sheet elsewhere": book("", **{"xl/_rels/workbook.xml.rels": RELS.replace("worksheets/", "../../../etc/")}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
async def test_harmful_workbooks_are_refused_and_leave_nothing(beta: Checked, name: str) -> None:
    error = await beta.post("/datasets", of_uri(coded(MIME, HARMFUL[name])), status=400)
    assert "root:" not in error["detail"]
    assert await db.read(Dataset.objects.count) == 0


def test_cells_far_apart_cost_nothing() -> None:
    far = '<row r="1"><c r="A1" t="str"><v>a</v></c><c r="XFD1" t="str"><v>z</v></c></row>'
    far += '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    assert values(book(far)) == [{"z": 1}]


@pytest.mark.parametrize("limit", ["UNPACKED", "STRINGS", "DIRECTORY"])
def test_what_unpacks_to_much_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    strings = f"<sst {MAIN}>" + "<si><t>question</t></si>" * 1000 + "</sst>"
    body = book(text_row("a"), **{"xl/sharedStrings.xml": strings})
    assert values(body) == []
    monkeypatch.setattr(excel, limit, 200)
    with pytest.raises(TooLarge):
        values(body)


def test_text_said_again_and_again_counts_each_time(settings: Any) -> None:
    settings.DATASET_MAX_ROW_BYTES, settings.DATASET_MAX_BYTES = 100_000, 200_000
    strings = {"xl/sharedStrings.xml": f"<sst {MAIN}><si><t>{'x' * 30_000}</t></si></sst>"}
    cell = '<c t="s"><v>0</v></c>'
    with pytest.raises(TooLarge, match="Row 2 is longer"):
        values(book(text_row(*"abcd") + f"<row>{cell * 4}</row>", **strings))
    with pytest.raises(TooLarge, match="DATASET_MAX_BYTES"):
        values(book(text_row("a") + f"<row>{cell}</row>" * 7, **strings))


def test_many_columns_are_named_quickly() -> None:
    names = [f"c{n}" for n in range(16_384)]
    assert values(book(text_row(*names) + text_row("1"))) == [{"c0": "1"}]
    with pytest.raises(Unreadable, match="beyond the last column"):
        values(book(text_row(*names, "more")))
