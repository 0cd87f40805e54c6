package source

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileMark changes with a write to a file, and with another file in its place.
func fileMark(info fs.FileInfo) string {
	inode, changed := uint64(0), int64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode, changed = st.Ino, st.Ctim.Nano()
	}
	return fmt.Sprintf("%d-%d-%d-%d", info.Size(), info.ModTime().UnixNano(), inode, changed)
}
