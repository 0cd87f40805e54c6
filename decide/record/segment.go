package record

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/leat-ai/leat/base/fault"
)

// A segment is a head and records, each with a mark, its length, a checksum
// of that, a checksum of the payload, and the payload. Both checksums begin
// with a random seed that the head gives: bytes that a caller put into a
// payload cannot pass for a record when a reader looks for the next one
// behind a damaged place, nor make it add up the same bytes again and again.
const (
	segmentMagic = "LEATREC1"
	mark         = "\xd1rec"                 // begins a record
	headSize     = len(segmentMagic) + 8 + 4 // seed, checksum of both
	frameSize    = 16                        // mark, length, its checksum, that of the payload
	maxPayload   = 64 << 20
)

func sum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// head returns the first bytes of a segment.
func head(seed uint64) []byte {
	h := binary.LittleEndian.AppendUint64([]byte(segmentMagic), seed)
	return binary.LittleEndian.AppendUint32(h, sum(h))
}

func readHead(data []byte) (seed uint64, err error) {
	if len(data) < headSize || string(data[:len(segmentMagic)]) != segmentMagic {
		return 0, fault.New(fault.Corrupt, "not a segment of decision records")
	}
	if sum(data[:headSize-4]) != binary.LittleEndian.Uint32(data[headSize-4:]) {
		return 0, fault.New(fault.Corrupt, "the head of a segment is damaged")
	}
	return binary.LittleEndian.Uint64(data[len(segmentMagic):]), nil
}

func checksum(seed uint64, data []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return crc32.Update(sum(s[:]), crc32.MakeTable(crc32.Castagnoli), data)
}

// begin appends the place of a record's frame; finish fills it in when the
// payload stands behind it.
func begin(dst []byte) []byte {
	return append(append(dst, mark...), make([]byte, frameSize-len(mark))...)
}

func finish(record []byte, seed uint64) {
	payload := record[frameSize:]
	binary.LittleEndian.PutUint32(record[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(record[8:], checksum(seed, record[4:8]))
	binary.LittleEndian.PutUint32(record[12:], checksum(seed, payload))
}

// frameAt returns the payload of the record at the start of data.
func frameAt(data []byte, seed uint64) (payload []byte, ok bool) {
	if len(data) < frameSize || string(data[:4]) != mark {
		return nil, false
	}
	if checksum(seed, data[4:8]) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n > maxPayload || int(n) > len(data)-frameSize {
		return nil, false
	}
	payload = data[frameSize : frameSize+int(n)]
	return payload, checksum(seed, payload) == binary.LittleEndian.Uint32(data[12:])
}

// scan is what a segment holds.
type scan struct {
	payloads [][]byte
	damaged  int64 // bytes between records, or after the last one, that are none
	end      int   // where the last whole record ends
}

// scanSegment reads the records of a segment. Behind a damaged place it goes
// on with the next record that is whole.
func scanSegment(data []byte) (s scan, err error) {
	seed, err := readHead(data)
	if err != nil {
		return s, err
	}
	s.end = headSize
	for at := headSize; at < len(data); {
		payload, ok := frameAt(data[at:], seed)
		if ok {
			s.payloads = append(s.payloads, payload)
			s.damaged += int64(at - s.end)
			at += frameSize + len(payload)
			s.end = at
			continue
		}
		next := bytes.Index(data[at+1:], []byte(mark))
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return s, nil
}

// torn returns how many bytes follow the last whole record.
func (s scan) torn(data []byte) int64 { return int64(len(data) - s.end) }
