package document

import (
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// officeFile is an Office document whose main part is known.
type officeFile struct {
	*archive
	j    *job
	main string
	refs relations
}

// mainParts are where the main part lies if nothing else is said.
var mainParts = []struct {
	format Format
	part   string
	folder string
}{
	{DOCX, "word/document.xml", "word/"},
	{PPTX, "ppt/presentation.xml", "ppt/"},
	{XLSX, "xl/workbook.xml", "xl/"},
}

// officeFormat tells what kind of document a ZIP archive is by its main part.
func (j *job) officeFormat() (Format, error) {
	a, err := j.archive()
	if err != nil {
		return "", err
	}
	main, err := a.mainPart(j.limits.Depth)
	if err != nil {
		return "", err
	}
	for _, m := range mainParts {
		if strings.HasPrefix(strings.ToLower(main), m.folder) {
			j.opened = &officeFile{archive: a, j: j, main: main}
			return m.format, nil
		}
	}
	what, hint := "a ZIP archive", "unpack it and give the files in it"
	switch {
	case a.has("mimetype") && a.has("content.xml"):
		what, hint = "an OpenDocument file", "save it as .docx, .pptx or .xlsx"
	case a.has("mimetype"):
		what, hint = "an EPUB book", "convert it to HTML or PDF"
	case a.has("xl/workbook.bin"):
		what, hint = "a binary workbook (.xlsb)", "save it as .xlsx"
	}
	return "", fault.New(fault.Unsupported, "%s is not read as a document", what).Hint("%s", hint)
}

func (a *archive) mainPart(depth int) (string, error) {
	root, err := a.relations("", depth)
	if err != nil {
		return "", err
	}
	if part := root.byType["officeDocument"]; part != "" && a.has(part) && strings.HasSuffix(part, ".xml") {
		return part, nil
	}
	for _, m := range mainParts {
		if a.has(m.part) {
			return m.part, nil
		}
	}
	return "", nil
}

// office is the document that officeFormat found, with its relations.
func (j *job) office() (*officeFile, error) {
	f := j.opened
	var err error
	f.refs, err = f.relations(f.main, j.limits.Depth)
	return f, err
}

// coreProperties are what Office documents say of themselves, and the names
// that Document.Meta has for it.
var coreProperties = map[string]string{
	"title": "title", "creator": "author", "subject": "subject", "keywords": "keywords",
	"created": "created", "modified": "modified", "language": "language", "category": "category",
}

// describe adds what the file says of itself; a file without, or with damaged
// properties, is read all the same.
func (f *officeFile) describe(doc *Document) error {
	const part = "docProps/core.xml"
	if !f.has(part) {
		return nil
	}
	key, value := "", ""
	err := f.walk(part, f.j.limits.Depth, handler{
		start: func(name string, _ attributes) error {
			key, value = coreProperties[name], ""
			return nil
		},
		text: func(text []byte) {
			if key != "" && len(value) < 1000 {
				value += string(text)
			}
		},
		end: func(string) error {
			if value = oneLine(clean(value), 1000); key != "" && value != "" {
				doc.Meta[key] = value
			}
			key = ""
			return nil
		},
	})
	if fault.KindOf(err) == fault.Invalid {
		err = nil
	}
	if doc.Title == "" {
		doc.Title = doc.Meta["title"]
	}
	if doc.Language == "" {
		doc.Language = doc.Meta["language"]
	}
	return err
}
