package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/sentence"
)

// cache keeps the vectors of texts in a file of records, each the SHA-256 of a
// text and its vector, so that a run that was ended goes on where it was.
type cache struct {
	model *sentence.Model
	file  *os.File
	known map[[32]byte][]float32
	spent time.Duration // embedding, this run
	texts int           // embedded in this run
	used  int           // tokens of them
}

func openCache(folder string, m *sentence.Model) (*cache, error) {
	path := filepath.Join(folder, m.Name()+".vectors")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	c := &cache{model: m, file: f, known: map[[32]byte][]float32{}}
	in, record, whole := bufio.NewReaderSize(f, 1<<20), make([]byte, 32+4*m.Dimensions()), int64(0)
	for {
		_, err := io.ReadFull(in, record)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		v := make([]float32, m.Dimensions())
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(record[32+4*i:]))
		}
		c.known[[32]byte(record[:32])] = v
		whole += int64(len(record))
	}
	_, err = f.Seek(whole, io.SeekStart)
	return c, err
}

// embed returns the vectors of texts, and makes those that are missing.
func (c *cache) embed(ctx context.Context, purpose llm.Purpose, texts []string) ([][]float32, error) {
	const part = 64
	out := make([][]float32, len(texts))
	var missing []int
	flush := func() error {
		inputs := make([]string, len(missing))
		for i, at := range missing {
			inputs[i] = texts[at]
		}
		begin := time.Now()
		e, err := c.model.Embed(ctx, llm.EmbedRequest{Inputs: inputs, Purpose: purpose})
		if err != nil {
			return err
		}
		c.spent, c.texts, c.used = c.spent+time.Since(begin), c.texts+len(inputs), c.used+e.Usage.Input
		for i, at := range missing {
			key := sum(purpose, texts[at])
			out[at], c.known[key] = e.Vectors[i], e.Vectors[i]
			record := append([]byte(nil), key[:]...)
			for _, x := range e.Vectors[i] {
				record = binary.LittleEndian.AppendUint32(record, math.Float32bits(x))
			}
			if _, err := c.file.Write(record); err != nil {
				return err
			}
		}
		missing = missing[:0]
		return nil
	}
	for i, text := range texts {
		if v, ok := c.known[sum(purpose, text)]; ok {
			out[i] = v
		} else if missing = append(missing, i); len(missing) == part {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	return out, flush()
}

func sum(purpose llm.Purpose, text string) [32]byte {
	return sha256.Sum256([]byte(string(purpose) + "\x00" + text))
}
