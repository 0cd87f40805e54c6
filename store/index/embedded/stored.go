package embedded

import (
	"encoding/binary"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/leat-ai/leat/store/index"
)

// Passages are stored in blocks of about storedBlock bytes, compressed, in the
// order of their ids. What a block holds is given by its entry in the
// segment's contents.
const storedBlock = 16 << 10

// maxStored bounds a block after decompression: one passage may be as large as
// it likes, within the bounds of the contract.
const maxStored = 32 << 20

// storedEntry is what the contents of a segment say of a block of passages.
type storedEntry struct {
	region
	first   uint32 // ordinal of the first passage
	firstID string
}

// appendPassage appends a passage without its vector. Passage.ID is made of
// the document and the ordinal.
func appendPassage(b []byte, p *index.Passage) []byte {
	for _, s := range [...]string{p.Document, p.Version, p.Title, p.Heading, p.Text, p.Context, p.Language, p.Parent} {
		b = appendString(b, s)
	}
	for _, n := range [...]int{p.Start, p.End, p.Page, p.Ordinal, len(p.Fields)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, f := range p.Fields {
		b = appendValue(appendString(b, f.Name), f.Value)
	}
	return b
}

func (r *reader) passage() (p index.Passage) {
	for _, s := range [...]*string{&p.Document, &p.Version, &p.Title, &p.Heading, &p.Text, &p.Context, &p.Language, &p.Parent} {
		*s = r.string()
	}
	p.Start, p.End = int(r.uvarint()), int(r.uvarint())
	p.Page, p.Ordinal = r.integer(), r.integer()
	p.ID = index.PassageID(p.Document, p.Ordinal)
	for range r.count() {
		name := r.string()
		p.Fields = append(p.Fields, index.Field{Name: name, Value: r.value()})
		if r.err != nil {
			break
		}
	}
	return p
}

func appendValue(b []byte, v index.Value) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case index.String:
		return appendString(b, v.Text)
	case index.Double:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Double))
	}
	return binary.AppendVarint(b, v.Int)
}

func (r *reader) value() index.Value {
	kind := r.take(1)
	if kind == nil {
		return index.Value{}
	}
	v := index.Value{Kind: index.Kind(kind[0])}
	switch v.Kind {
	case index.String:
		v.Text = r.string()
	case index.Double:
		v.Double = math.Float64frombits(r.uint64())
	case index.Bool, index.Int, index.Timestamp:
		n, size := binary.Varint(r.b)
		if size <= 0 {
			r.fail()
			return v
		}
		v.Int, r.b = n, r.b[size:]
	default:
		r.fail()
	}
	return v
}

// packer compresses and decompresses blocks of passages. Unpacking is safe for
// many goroutines.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newPacker() (*packer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxStored))
	return &packer{encoder, decoder}, err
}

func (p *packer) pack(b []byte) []byte { return p.encoder.EncodeAll(b, nil) }

func (p *packer) unpack(b []byte) ([]byte, error) { return p.decoder.DecodeAll(b, nil) }
