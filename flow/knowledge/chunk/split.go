package chunk

import "github.com/leat-ai/leat/flow/knowledge/document"

func split(doc document.Document, o Options) []Chunk {
	var chunks []Chunk
	for _, b := range doc.Blocks {
		last := len(chunks) - 1
		if last >= 0 && b.End-chunks[last].Start <= o.Target {
			chunks[last].End = b.End
			continue
		}
		for start := b.Start; start < b.End; start += o.Most {
			chunks = append(chunks, Chunk{Start: start, End: min(start+o.Most, b.End), Page: b.Page, Ordinal: len(chunks), Parent: -1, Anchor: b.Anchor})
		}
	}
	return chunks
}
