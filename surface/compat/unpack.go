package compat

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// unpack unpacks a body of at most limit bytes; what has more is refused as
// soon as that shows.
func unpack(encoding string, packed *bytes.Buffer, limit int64, into *bytes.Buffer) error {
	into.Reset()
	var r io.ReadCloser
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(packed)
	case "deflate":
		r, err = zlib.NewReader(packed)
	default:
		return fault.New(fault.Invalid, "the body has the encoding %.40q", encoding).Hint("send it as it is, or packed by gzip or deflate")
	}
	if err == nil {
		_, err = io.Copy(into, io.LimitReader(r, limit+1))
	}
	if err != nil {
		return fault.New(fault.Invalid, "the body is not what %s makes", encoding).Because(err)
	}
	if int64(into.Len()) > limit {
		return fault.New(fault.TooLarge, "the body is over %d bytes once it is unpacked", limit).Hint("send fewer rows at a time")
	}
	return nil
}
