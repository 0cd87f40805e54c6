"""Writes the Office files of testdata/golden: office.py FOLDER.

python-docx, python-pptx, openpyxl and XlsxWriter write them; make.sh has
LibreOffice write them once more. The files are kept: run this only to change
what they show.
"""
import datetime
import sys

import docx
import openpyxl
import openpyxl.styles
import pptx
import pptx.util
import xlsxwriter

out = sys.argv[1]


def document():
    d = docx.Document()
    d.core_properties.title = "Handbook of travel"
    d.core_properties.author = "People team"
    d.add_heading("Handbook", 0)
    d.add_paragraph("For everybody who travels.", style="Subtitle")
    d.add_heading("Travel", 1)
    p = d.add_paragraph("Book ")
    p.add_run("early").bold = True
    p.add_run(", and take the train: Zürich, Malmö, 東京.")
    d.add_heading("Hotels", 2)
    for text in ("Ask first.", "Keep the bill."):
        d.add_paragraph(text, style="List Bullet")
    d.add_paragraph("A nested item.", style="List Bullet 2")
    for text in ("Scan it.", "Send it."):
        d.add_paragraph(text, style="List Number")
    t = d.add_table(rows=3, cols=3)
    for i, line in enumerate((("City", "EUR", "Note"), ("Berlin", "120", ""), ("Paris", "160", "centre"))):
        for j, text in enumerate(line):
            t.cell(i, j).text = text
    inner = t.cell(1, 2).add_table(rows=1, cols=2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "in", "side"
    d.add_paragraph("Trains come first.", style="Intense Quote")
    frame = d.add_table(rows=1, cols=1)
    frame.cell(0, 0).text = "A frame around a remark."
    d.add_page_break()
    d.add_heading("Expenses", 1)
    d.add_paragraph("Send them\twithin a month.\nNot later.")
    d.sections[0].header.paragraphs[0].text = "never read"
    d.save(out + "/python-docx.docx")


def presentation():
    p = pptx.Presentation()
    p.core_properties.title = "Quarterly review"
    s = p.slides.add_slide(p.slide_layouts[0])
    s.shapes.title.text = "Review"
    s.placeholders[1].text = "Third quarter"
    s = p.slides.add_slide(p.slide_layouts[1])
    s.shapes.title.text = "Results"
    body = s.placeholders[1].text_frame
    body.text = "Revenue is up"
    for level, text in ((1, "in Europe"), (1, "in Asia"), (0, "Costs are down")):
        line = body.add_paragraph()
        line.text, line.level = text, level
    s.notes_slide.notes_text_frame.text = "Say thanks to the team."
    s = p.slides.add_slide(p.slide_layouts[6])
    box = s.shapes.add_textbox(0, 0, pptx.util.Inches(4), pptx.util.Inches(1))
    box.text_frame.text = "A slide without a title."
    t = s.shapes.add_table(2, 2, 0, pptx.util.Inches(2), pptx.util.Inches(4), pptx.util.Inches(1)).table
    for i, line in enumerate((("Region", "Sales"), ("North", "12"))):
        for j, text in enumerate(line):
            t.cell(i, j).text = text
    p.save(out + "/python-pptx.pptx")


def workbook():
    w = openpyxl.Workbook()
    s = w.active
    s.title = "Rates 2026"
    s.append(["Rates of travel"])
    s.append([])
    s.append(["City", "From", "Rate", "Share", "Sum"])
    s.append(["Berlin", datetime.date(2026, 1, 31), 120, 0.125, "=C4*2"])
    s.append(["Paris", datetime.datetime(2026, 2, 28, 14, 30), 160.5, 1, "=C5*2"])
    s["B4"].number_format = "dd.mm.yyyy"
    s["D4"].number_format = s["D5"].number_format = "0.0%"
    s.append([])
    s.append(["Name", "Open"])
    s.append(["Zürich 東京", True])
    h = w.create_sheet("Lists")
    h.append(["never", "read"])
    h.sheet_state = "hidden"
    n = w.create_sheet("Numbers")
    n.append([1, 2.5, 1e-3])
    n["E3"] = datetime.time(8, 15)
    n["E3"].number_format = "h:mm"
    n["E4"] = datetime.timedelta(hours=30)
    n["E4"].number_format = "[h]:mm:ss"
    w.save(out + "/openpyxl.xlsx")


def rich():
    w = xlsxwriter.Workbook(out + "/xlsxwriter.xlsx")
    s = w.add_worksheet("A & B")
    bold = w.add_format({"bold": True})
    s.write_rich_string("A1", "rich ", bold, "text")
    s.write("B1", "plain")
    s.write_row("A2", ["x", 0.1 + 0.2])
    s.write_formula("C2", "=1+1", None, 2)
    s.write_datetime("D2", datetime.datetime(2000, 2, 29), w.add_format({"num_format": "d mmm yyyy"}))
    w.close()


document()
presentation()
workbook()
rich()
