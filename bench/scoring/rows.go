package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/internal/realdata"
)

// higgs reads the rows of the Higgs sample, those for the test first, and
// their labels.
func higgs() (rows [][]float64, labels []float64, err error) {
	for _, name := range []string{"binary.test.gz", "binary.train.gz"} {
		path := filepath.Join(realdata.Root(), "tabular-lightgbm-examples", name)
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("the Higgs sample is needed; LEAT_DATA names the folder of the data: %w", err)
		}
		defer f.Close()
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		for scan := bufio.NewScanner(unpacked); scan.Scan(); {
			row := make([]float64, 0, columns+1)
			for word := range strings.FieldsSeq(scan.Text()) {
				v, err := strconv.ParseFloat(word, 64)
				if err != nil {
					return nil, nil, fmt.Errorf("%s: %w", path, err)
				}
				row = append(row, v)
			}
			if len(row) != columns+1 {
				return nil, nil, fmt.Errorf("%s has a row of %d columns", path, len(row))
			}
			rows, labels = append(rows, row[1:]), append(labels, row[0])
		}
	}
	return rows, labels, nil
}

// write writes numbers as the peers read them: row after row, the parts of a
// row side by side.
func write(path string, rows int, row func(at int) []float64) error {
	var b bytes.Buffer
	for at := range rows {
		if err := binary.Write(&b, binary.NativeEndian, row(at)); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
