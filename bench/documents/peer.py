"""The peer of bench/documents: makes files of real pages with the libraries
that people use, and reads them with these libraries.

  peer.py make PAGES.jsonl FOLDER   writes a file of each format for every page
  peer.py read FORMAT FOLDER        reads all files of a format; for each a line
                                    with its words, then a line with the seconds
"""
import glob
import json
import re
import sys
import time

WORD = re.compile(r"[^\W_]+")


def blocks(text):
    """Headings and paragraphs of a page of Markdown, in words alone."""
    for part in re.split(r"\n\s*\n", text):
        words = " ".join(WORD.findall(re.sub(r"<[^>]*>", " ", part)))
        if words:
            yield part.startswith("#"), words


def make(pages, folder):
    import docx
    import openpyxl
    import pptx
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate
    from xml.sax.saxutils import escape

    styles = getSampleStyleSheet()
    for n, line in enumerate(open(pages, encoding="utf-8")):
        text = json.loads(line)["text"]
        name = f"{folder}/{n:05d}"
        parts = list(blocks(text.encode("cp1252", "ignore").decode("cp1252"))) or [(False, "empty")]
        open(name + ".md", "w", encoding="utf-8").write(text)
        with open(name + ".html", "w", encoding="utf-8") as f:
            f.write("<!doctype html><html><head><title>x</title><meta charset=utf-8></head><body>")
            for heading, words in parts:
                f.write(f"<h2>{escape(words)}</h2>" if heading else f"<p>{escape(words)}</p>")
            f.write("</body></html>")
        d = docx.Document()
        s = openpyxl.Workbook().active
        p = pptx.Presentation()
        for heading, words in parts:
            d.add_heading(words, 2) if heading else d.add_paragraph(words)
            s.append(words.split(" ")[:200])
            slide = p.slides.add_slide(p.slide_layouts[1])
            slide.shapes.title.text = "x"
            slide.placeholders[1].text = words
        d.save(name + ".docx")
        s.parent.save(name + ".xlsx")
        if n % 4 == 0:
            p.save(name + ".pptx")
        SimpleDocTemplate(name + ".pdf").build(
            [Paragraph(escape(words), styles["Heading2" if heading else "BodyText"]) for heading, words in parts])


def reader(kind):
    if kind == "md":
        import markdown_it
        md = markdown_it.MarkdownIt("commonmark").enable("table")

        def read(name):
            text = open(name, encoding="utf-8").read()
            md.parse(text)
            return text
        return read
    if kind == "html":
        import bs4
        return lambda name: bs4.BeautifulSoup(open(name, encoding="utf-8").read(), "lxml").body.get_text("\n")
    if kind == "docx":
        import docx
        return lambda name: "\n".join(p.text for p in docx.Document(name).paragraphs)
    if kind == "pptx":
        import pptx
        return lambda name: "\n".join(s.text_frame.text for slide in pptx.Presentation(name).slides for s in slide.shapes if s.has_text_frame)
    if kind == "xlsx":
        import openpyxl
        return lambda name: "\n".join(" ".join(str(c) for c in row if c is not None)
                                      for sheet in openpyxl.load_workbook(name, read_only=True) for row in sheet.values)
    import pypdf
    return lambda name: "\n".join(p.extract_text() for p in pypdf.PdfReader(name).pages)


def read_all(kind, folder):
    read = reader(kind)
    spent = 0.0
    for name in sorted(glob.glob(f"{folder}/*.{kind}")):
        start = time.process_time()
        text = read(name)
        spent += time.process_time() - start
        print(json.dumps({"name": name, "words": WORD.findall(text)}))
    print(json.dumps({"seconds": spent}))


if sys.argv[1] == "make":
    make(sys.argv[2], sys.argv[3])
else:
    read_all(sys.argv[2], sys.argv[3])
