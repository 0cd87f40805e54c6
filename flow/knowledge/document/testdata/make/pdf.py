"""Writes the PDF files of testdata/golden, and the broken ones of
testdata/broken, with reportlab, fpdf2, pypdf and pikepdf: pdf.py FOLDER."""
import os
import sys

import fpdf
import pikepdf
import pypdf
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import BaseDocTemplate, Frame, ListFlowable, PageBreak, PageTemplate, Paragraph, SimpleDocTemplate, Spacer, Table

out = sys.argv[1]
broken = out + "/../broken"
os.makedirs(broken, exist_ok=True)
styles = getSampleStyleSheet()
words = "Whoever travels for the company books early and takes the train where it takes less than six hours. "


def reportlab():
    d = SimpleDocTemplate(out + "/reportlab.pdf", pagesize=A4, title="Handbook", author="People team", lang="en")
    d.build([
        Paragraph("Travel", styles["Heading1"]), Paragraph(words * 3, styles["BodyText"]),
        Paragraph("Hotels", styles["Heading2"]), Paragraph("At most 120&nbsp;EUR – “ask first”.", styles["BodyText"]),
        ListFlowable([Paragraph("Ask first.", styles["BodyText"]), Paragraph("Keep the bill.", styles["BodyText"])]),
        Spacer(1, 12), Table([["City", "EUR", "Note"], ["Berlin", "120", "or less"], ["Paris", "160", "in the centre"]]),
        PageBreak(), Paragraph("Expenses", styles["Heading1"]), Paragraph(words * 2, styles["BodyText"]),
    ])


def columns():
    d = BaseDocTemplate(out + "/columns.pdf", pagesize=A4)
    left = Frame(50, 50, 230, 700, id="left")
    right = Frame(310, 50, 230, 700, id="right")
    d.addPageTemplates([PageTemplate(frames=[left, right])])
    d.build([Paragraph(f"Paragraph {i}. " + words, styles["BodyText"]) for i in range(1, 31)])


def fpdf2():
    d = fpdf.FPDF()
    d.set_title("Größe")
    d.add_page()
    d.set_font("Helvetica", size=20)
    d.cell(text="Größe und Maß", new_x="LMARGIN", new_y="NEXT")
    d.set_font("Times", size=11)
    d.multi_cell(0, text="Ein Absatz mit Umlauten: äöüß. " * 8)
    font = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
    if os.path.exists(font):
        d.ln(10)
        d.add_font("DejaVu", fname=font)
        d.set_font("DejaVu", size=11)
        d.multi_cell(0, text="Ελληνικά, Русский, office ﬁne.")
    d.output(out + "/fpdf2.pdf")


def rewritten():
    w = pypdf.PdfWriter(clone_from=out + "/reportlab.pdf")
    w.write(out + "/pypdf.pdf")
    with pikepdf.open(out + "/reportlab.pdf") as p:
        p.save(out + "/pikepdf-streams.pdf", object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True)
        p.save(out + "/owner-password.pdf", encryption=pikepdf.Encryption(owner="owner", user="", R=6))
        p.save(out + "/owner-password-r4.pdf", encryption=pikepdf.Encryption(owner="owner", user="", R=4))
        p.save(broken + "/encrypted.pdf", encryption=pikepdf.Encryption(owner="owner", user="user", R=6))
        p.save(broken + "/encrypted-r4.pdf", encryption=pikepdf.Encryption(owner="owner", user="user", R=4))


def scanned():
    d = fpdf.FPDF()
    from PIL import Image
    for _ in range(2):
        d.add_page()
        d.image(Image.new("RGB", (64, 64), "white"), w=100)
    d.output(broken + "/scanned.pdf")


reportlab()
columns()
fpdf2()
rewritten()
scanned()
