#!/bin/sh
# Writes the Office and PDF files of testdata/golden with the programs that
# people use: make.sh PYTHON. It needs Debian's libreoffice-writer-nogui,
# -calc-nogui, -impress-nogui and chromium, and the Python packages named in
# office.py and pdf.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../golden
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" "$here/office.py" "$out"
office() { # office INPUT ENDING FILTER NAME
    mkdir -p "$work/$4"
    soffice --headless -env:UserInstallation="file://$work/profile" --convert-to "$2:$3" --outdir "$work/$4" "$1" >/dev/null 2>&1
    mv "$work/$4"/* "$out/$4.$2"
}
office "$out/python-docx.docx" docx "MS Word 2007 XML" libreoffice
office "$out/python-pptx.pptx" pptx "Impress MS PowerPoint 2007 XML" libreoffice
office "$out/openpyxl.xlsx" xlsx "Calc MS Excel 2007 XML" libreoffice
office "$out/python-docx.docx" pdf writer_pdf_Export libreoffice-writer
office "$out/python-pptx.pptx" pdf impress_pdf_Export libreoffice-impress
office "$out/openpyxl.xlsx" pdf calc_pdf_Export libreoffice-calc
chromium --headless --no-sandbox --disable-gpu --no-pdf-header-footer --user-data-dir="$work/chromium" --print-to-pdf="$out/chromium.pdf" "file://$out/page.html" >/dev/null 2>&1
"$python" "$here/pdf.py" "$out"
