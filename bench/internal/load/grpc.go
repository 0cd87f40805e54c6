package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// NewGRPC returns the target at host:port that is asked by a method with
// messages.
func NewGRPC(name, host, method string, messages [][]byte) *Target {
	t := &Target{Name: name, host: host, grpc: true}
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", host}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		// Without the table that both sides would keep: the same bytes are good
		// for every request.
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // a buffer takes everything
	}
	for _, m := range messages {
		var b bytes.Buffer
		f := http2.NewFramer(&b, nil)
		// Stream 1; ask puts another number in its place.
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		data := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
		for len(data) > frameSize {
			_ = f.WriteData(1, false, data[:frameSize])
			data = data[frameSize:]
		}
		_ = f.WriteData(1, true, data)
		t.requests = append(t.requests, b.Bytes())
	}
	return t
}

// frameHead is how long the head of a frame is; its last four bytes are the
// stream's number. frameSize is how much every server takes in a frame. A
// message has to be within the window of a new stream, 64 KiB.
const (
	frameHead = 9
	frameSize = 16 << 10
)

// grpcConn is a connection of HTTP/2 that makes one call after another.
type grpcConn struct {
	net.Conn
	frames  *http2.Framer
	stream  uint32
	request []byte
	unread  uint32 // bytes of answers that the server may not send again yet
}

// window is how many bytes a server may send before it is told to go on.
const window = 1 << 30

func dialGRPC(host string) (*grpcConn, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	c := &grpcConn{Conn: conn, frames: http2.NewFramer(conn, bufio.NewReaderSize(conn, 8<<10))}
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = conn.Write([]byte(http2.ClientPreface))
	err = errors.Join(err, c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}),
		c.frames.WriteWindowUpdate(0, window))
	if err != nil {
		_ = conn.Close()
	}
	return c, err
}

func (c *grpcConn) ask(request []byte, body *bytes.Buffer) error {
	if c.stream == 0 {
		c.stream = 1
	} else {
		c.stream += 2
	}
	c.request = append(c.request[:0], request...)
	for at := 0; at < len(c.request); at += frameHead + int(binary.BigEndian.Uint32(c.request[at:])>>8) {
		binary.BigEndian.PutUint32(c.request[at+5:], c.stream)
	}
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	if body != nil {
		body.Reset()
	}
	for {
		f, err := c.frames.ReadFrame()
		if err != nil {
			return err
		}
		if ended, err := c.take(f, body); ended || err != nil {
			return err
		}
	}
}

// take takes a frame of the server; ended tells that it was the answer's last.
func (c *grpcConn) take(f http2.Frame, body *bytes.Buffer) (ended bool, err error) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, c.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, c.frames.WritePing(true, f.Data)
		}
	case *http2.DataFrame:
		if body != nil {
			body.Write(f.Data())
		}
		if c.unread += f.Length; c.unread > window/2 {
			err, c.unread = c.frames.WriteWindowUpdate(0, c.unread), 0
		}
		return false, err
	case *http2.MetaHeadersFrame:
		for _, h := range f.Fields {
			if h.Name == "grpc-status" && h.Value != "0" {
				return true, fmt.Errorf("answered with the status %s, %v", h.Value, f.Fields)
			}
		}
		if f.StreamEnded() && body != nil {
			body.Next(5) // whether the message is packed, and its length
		}
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return true, fmt.Errorf("broken off: %v", f)
	}
	return false, nil
}
