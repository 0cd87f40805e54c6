package lake

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/leat-ai/leat/base/frame"
)

// How a column is encoded is decided by the first rows of its file: a
// dictionary of values that seldom repeat is work thrown away, and the values
// of a column that has few need no hashing. Only plain and dictionary
// encodings are used: Iceberg's fast readers on the JVM learned those of
// Parquet 2, such as delta, in 2026 only.

const (
	// sampleRows is how many rows decide. It is a count of rows, not of
	// batches, so that the same rows give the same file.
	sampleRows = 4096
	// fewValues is how many different values a column may have to be encoded
	// by looking at them one after the other.
	fewValues = 16
	// mostValues bounds the dictionary of such a column when it turns out to
	// have more.
	mostValues = 256
)

// encoding is how a column is written.
type encoding int

const (
	hashed encoding = iota // a dictionary, made by the Parquet library
	plain                  // no dictionary
	few                    // a dictionary, made here
)

// choose decides on the encoding of a column by a sample of it.
func choose(sample []arrow.Array, t frame.Type) encoding {
	switch t {
	case frame.Double, frame.Bool:
		// Measurements seldom repeat, and bits need no dictionary.
		return plain
	case frame.String:
		return chooseBy(sample, sampleRows, (*array.String).Value, few)
	case frame.Int:
		return chooseBy(sample, sampleRows, (*array.Int64).Value, hashed)
	case frame.Timestamp:
		return chooseBy(sample, sampleRows, (*array.Timestamp).Value, hashed)
	case frame.Date:
		return chooseBy(sample, sampleRows, (*array.Date32).Value, hashed)
	}
	return hashed
}

// chooseBy counts the different values of a sample, rows long at most. A
// column of few values gets the encoding for that.
func chooseBy[A arrow.Array, V comparable](sample []arrow.Array, rows int, value func(A, int) V, forFew encoding) encoding {
	seen := make(map[V]struct{}, fewValues)
	values := 0
	for _, chunk := range sample {
		a, ok := chunk.(A)
		if !ok {
			return hashed
		}
		for i := range min(a.Len(), rows) {
			if a.IsValid(i) {
				seen[value(a, i)] = struct{}{}
				values++
			}
		}
		if rows -= a.Len(); rows <= 0 {
			break
		}
	}
	switch {
	case len(seen) > max(fewValues, values/2):
		return plain
	case len(seen) <= fewValues && values > 0:
		return forFew
	}
	return hashed
}

// encoder prepares the batches of one file for the Parquet library.
type encoder struct {
	chosen []encoding
	schema *arrow.Schema // of what encode returns
	few    []*fewEncoder // by column; nil: left as it is
}

func newEncoder(schema *arrow.Schema, fields []fieldOf, sample []frame.Batch) *encoder {
	e := &encoder{chosen: make([]encoding, len(fields)), few: make([]*fewEncoder, len(fields))}
	encoded := schema.Fields()
	for i, f := range fields {
		chunks := make([]arrow.Array, len(sample))
		for n, b := range sample {
			chunks[n] = b.Column(i)
		}
		e.chosen[i] = choose(chunks, f.Type)
		if e.chosen[i] == few {
			e.few[i] = newFewEncoder(chunks)
			encoded[i].Type = fewType()
		}
	}
	e.schema = arrow.NewSchema(encoded, nil)
	return e
}

// pageSize bounds what is compressed in one go, in bytes: a server that moves
// its decisions here answers requests in between.
const pageSize = 64 << 10

func (e *encoder) properties() *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		// Its frames carry a checksum of the page, which every reader checks.
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(rowGroupRows),
		parquet.WithDictionaryPageSizeLimit(256 << 10),
		parquet.WithDataPageSize(pageSize),
		parquet.WithVersion(parquet.V2_LATEST),
	}
	for i, f := range e.schema.Fields() {
		if e.chosen[i] == plain {
			options = append(options, parquet.WithDictionaryPath(parquet.ColumnPath{f.Name}, false))
		}
	}
	return parquet.NewWriterProperties(options...)
}

// encode returns a batch as schema has it. The caller releases it, and the
// batch that it gave.
func (e *encoder) encode(batch frame.Batch) frame.Batch {
	columns := make([]arrow.Array, batch.NumCols())
	for i := range columns {
		if text, ok := batch.Column(i).(*array.String); ok && e.few[i] != nil {
			columns[i] = e.few[i].encode(text)
			defer columns[i].Release()
			continue
		}
		columns[i] = batch.Column(i)
	}
	return array.NewRecordBatch(e.schema, columns, batch.NumRows())
}

// release lets go of the dictionaries.
func (e *encoder) release() {
	for _, f := range e.few {
		if f != nil {
			f.release()
		}
	}
}

func fewType() *arrow.DictionaryType {
	return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
}

// fewEncoder encodes a column of few values: most are the one before them, or
// one of a handful. A value that was not there before makes a new dictionary,
// which the Parquet library takes from the next row group on; until then it
// writes the values themselves.
type fewEncoder struct {
	values []string
	index  map[string]int32
	dict   *array.String // values; nil: has to be made
}

// newFewEncoder returns an encoder that knows the values of the sample.
func newFewEncoder(sample []arrow.Array) *fewEncoder {
	f := new(fewEncoder)
	rows := sampleRows
	for _, chunk := range sample {
		text, _ := chunk.(*array.String)
		for i := range min(text.Len(), max(rows, 0)) {
			if text.IsValid(i) {
				f.find(text.Value(i))
			}
		}
		rows -= text.Len()
	}
	return f
}

func (f *fewEncoder) encode(text *array.String) arrow.Array {
	if len(f.values) > mostValues {
		f.values, f.index = nil, nil
		f.release()
	}
	indices := array.NewInt32Builder(memory.DefaultAllocator)
	defer indices.Release()
	indices.Reserve(text.Len())
	last, at := "", int32(-1)
	for i := range text.Len() {
		if text.IsNull(i) {
			indices.UnsafeAppendBoolToBitmap(false)
			continue
		}
		if v := text.Value(i); at < 0 || v != last {
			last, at = v, f.find(v)
		}
		indices.UnsafeAppend(at)
	}
	numbers := indices.NewInt32Array()
	defer numbers.Release()
	return array.NewDictionaryArray(fewType(), numbers, f.dictionary())
}

// find returns the number of a value, a new one for a new value.
func (f *fewEncoder) find(v string) int32 {
	if at, known := f.index[v]; known {
		return at
	}
	if f.index == nil {
		f.index = make(map[string]int32, fewValues)
	}
	v = strings.Clone(v) // it outlives the batch
	at := int32(len(f.values))
	f.values = append(f.values, v)
	f.index[v] = at
	f.release()
	return at
}

// dictionary returns the values: the same array for as long as there is no new
// one, by which the Parquet library sees that nothing changed.
func (f *fewEncoder) dictionary() *array.String {
	if f.dict == nil {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(f.values, nil)
		f.dict = b.NewStringArray()
	}
	return f.dict
}

func (f *fewEncoder) release() {
	if f.dict != nil {
		f.dict.Release()
		f.dict = nil
	}
}
