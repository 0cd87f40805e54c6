package process

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// kind is what a frame is.
type kind uint8

// The frames. docs/reference/worker-protocol.md describes each.
const (
	kindHello   kind = 1 // worker: JSON, once, when it is ready
	kindPredict kind = 2 // Leat: milliseconds left (uint32), then rows
	kindResult  kind = 3 // worker: rows
	kindError   kind = 4 // worker: JSON
	kindPing    kind = 5 // Leat: nothing
	kindPong    kind = 6 // worker: nothing
	kindCancel  kind = 7 // Leat: nothing; the answer is not needed any more
	lastKind         = kindCancel
)

func (k kind) String() string {
	names := [...]string{kindHello: "hello", kindPredict: "predict", kindResult: "result", kindError: "error",
		kindPing: "ping", kindPong: "pong", kindCancel: "cancel"}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// headerSize is that of what comes before each payload: its length (uint32),
// the kind, three zeros, the number of the call (uint32). Little-endian.
const headerSize = 12

type message struct {
	kind    kind
	call    uint32
	payload []byte
}

// appendHeader appends the header of a frame whose payload has length bytes.
func appendHeader(dst []byte, k kind, call uint32, length int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
	dst = append(dst, byte(k), 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, call)
}

// readMessage reads one frame, whose payload may have limit bytes. It ends
// with io.EOF between two frames. What is no frame is a Corrupt fault.
func readMessage(r io.Reader, limit int) (m message, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if err == io.EOF {
			return m, io.EOF
		}
		return m, fault.Wrap(err, fault.Corrupt, "a frame broke off in its header")
	}
	length := binary.LittleEndian.Uint32(header[:])
	m.kind, m.call = kind(header[4]), binary.LittleEndian.Uint32(header[8:])
	switch {
	case m.kind == 0 || m.kind > lastKind || header[5] != 0 || header[6] != 0 || header[7] != 0:
		return m, fault.New(fault.Corrupt, "what the worker wrote is no frame: %q", header[:]).
			Hint("only frames may be written to the worker's end of the pipe; print to stderr instead")
	case int64(length) > int64(limit):
		return m, fault.New(fault.TooLarge, "a frame has %d bytes, more than %d", length, limit)
	}
	m.payload, err = readPayload(r, int(length))
	return m, err
}

// readPayload takes memory as bytes come, not as the header claims.
func readPayload(r io.Reader, length int) ([]byte, error) {
	const step = 1 << 20
	payload := make([]byte, 0, min(length, step))
	for len(payload) < length {
		n := min(length-len(payload), step)
		payload = append(payload, make([]byte, n)...)
		if _, err := io.ReadFull(r, payload[len(payload)-n:]); err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "a frame broke off after %d of %d bytes", len(payload)-n, length)
		}
	}
	return payload, nil
}
