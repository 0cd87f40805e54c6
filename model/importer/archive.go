package importer

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// maxRatio is by how much packed data may grow, beyond minUnpacked: small
// files of repeated numbers pack well and harm nobody.
const (
	maxRatio    = 200
	minUnpacked = 64 << 20
)

// budget counts what is unpacked, across the files of an archive.
type budget struct {
	name string
	left int64
}

func newBudget(name string, packed int) *budget {
	return &budget{name, min(MaxBytes, max(minUnpacked, maxRatio*int64(packed)))}
}

// take reads a stream to its end, within what is left.
func (b *budget) take(r io.Reader) ([]byte, error) {
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(r, b.left+1))
	if err != nil {
		return nil, b.broken(err)
	}
	if n > b.left {
		return nil, fault.New(fault.TooLarge, "%s unpacks to more than %d MiB", b.name, (b.left+int64(data.Len())-n)>>20).
			Hint("an archive of a model grows to at most %d times its size and %d MiB; import the folder instead", maxRatio, MaxBytes>>20)
	}
	b.left -= n
	return data.Bytes(), nil
}

func (b *budget) broken(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return fault.New(fault.Corrupt, "%s ends in the middle of its data", b.name).Hint("the copy or download was cut short: fetch the file again")
	}
	return fault.Wrap(err, fault.Corrupt, "%s is damaged", b.name)
}

// gunzip unpacks a gzip file.
func gunzip(name string, data []byte) ([]byte, error) {
	b := newBudget(name, len(data))
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, b.broken(err)
	}
	return b.take(z)
}

// unarchive unpacks an archive into memory. A model's archive holds plain
// files in folders; anything else in it is refused.
func unarchive(name string, k kind, data []byte) (Files, error) {
	b := newBudget(name, len(data))
	var all Files
	var err error
	if k == zipArchive {
		all, err = unzip(b, data)
	} else {
		all, err = untar(b, bytes.NewReader(data))
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "the archive %s is empty", name)
	}
	return all, nil
}

func unzip(b *budget, data []byte) (Files, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, b.broken(err)
	}
	all := Files{}
	for _, entry := range z.File {
		mode := entry.Mode()
		name := strings.TrimPrefix(entry.Name, "./")
		switch {
		case mode.IsDir() || strings.HasSuffix(name, "/"):
			if err := folderName(b.name, name); err != nil {
				return nil, err
			}
			continue
		case !mode.IsRegular():
			return nil, link(b.name, name)
		case hidden(name):
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return nil, b.broken(err)
		}
		file, err := b.take(content)
		if cerr := content.Close(); err == nil && cerr != nil {
			err = b.broken(cerr)
		}
		if err == nil {
			err = all.Add(name, file)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "in the archive %s", b.name)
		}
	}
	return all, nil
}

func untar(b *budget, r io.Reader) (Files, error) {
	t := tar.NewReader(r)
	all := Files{}
	for {
		header, err := t.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, b.broken(err)
		}
		name := strings.TrimPrefix(header.Name, "./")
		switch header.Typeflag {
		case tar.TypeDir:
			if err := folderName(b.name, name); err != nil {
				return nil, err
			}
			continue
		case tar.TypeReg:
		case tar.TypeXGlobalHeader:
			continue
		default:
			return nil, link(b.name, name)
		}
		if hidden(name) {
			continue
		}
		file, err := b.take(t)
		if err == nil {
			err = all.Add(name, file)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "in the archive %s", b.name)
		}
	}
}

// folderName refuses folders whose name leads out of the archive, though none
// of them is made: such an archive means no good.
func folderName(archive, name string) error {
	trimmed := strings.TrimSuffix(name, "/")
	if trimmed != "" && trimmed != "." && !fs.ValidPath(trimmed) {
		return fault.New(fault.Invalid, "%q cannot be the name of a folder in the archive %s", shorten(name), archive)
	}
	return nil
}

func link(archive, name string) error {
	return fault.New(fault.Invalid, "%q in the archive %s is a link or device, not a file", shorten(name), archive).
		Hint("a model's archive holds plain files; pack the files that the links lead to")
}
