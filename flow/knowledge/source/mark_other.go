//go:build !linux

package source

import (
	"fmt"
	"io/fs"
)

// fileMark changes with a write to a file.
func fileMark(info fs.FileInfo) string {
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
}
