package embedded

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A list of postings says in which passages of a segment a term stands, by
// rising ordinal, and how often, by weighted occurrences. It is cut into blocks
// of blockSize. The list begins with a head, in which each block has its last
// ordinal, its length in bytes and its peaks: the pairs of occurrences and
// length of passage of which every posting in the block is no better than one,
// so that a bound of the block's scores is known without reading it, whatever
// the parameters of BM25. (The idea is that of block-max indexes, Ding and Suel,
// SIGIR 2011; the pairs are Lucene's impacts.)

// blockSize is how many postings a block has; the last has fewer.
const blockSize = 128

// maxPeaks bounds the pairs that a block keeps.
const maxPeaks = 6

// posting is a passage that a term stands in.
type posting struct {
	ordinal uint32
	count   uint32 // weighted occurrences, in the segment's units; never 0
}

// peak is a pair that bounds a block's scores.
type peak struct {
	count  uint32 // no posting under this peak has more
	length uint32 // and none stands in a shorter passage
}

// appendPostings appends a list. lengths has the length of every passage.
func appendPostings(dst []byte, list []posting, lengths []uint32) []byte {
	var data []byte
	last := uint32(0)
	for from := 0; from < len(list); from += blockSize {
		block := list[from:min(from+blockSize, len(list))]
		before := len(data)
		data = appendBlock(data, block, last)
		end := block[len(block)-1].ordinal
		dst = binary.AppendUvarint(dst, uint64(end-last))
		dst = binary.AppendUvarint(dst, uint64(len(data)-before))
		last = end
		peaks := peaksOf(block, lengths)
		dst = append(dst, byte(len(peaks)))
		for _, p := range peaks {
			dst = binary.AppendUvarint(dst, uint64(p.count))
			dst = binary.AppendUvarint(dst, uint64(p.length))
		}
	}
	return append(dst, data...)
}

// peaksOf lists the pairs of a block that no other posting beats, by rising
// length; where they are too many, the last are made into one.
func peaksOf(block []posting, lengths []uint32) []peak {
	peaks := make([]peak, 0, maxPeaks+1)
	for _, p := range block {
		peaks = addPeak(peaks, peak{p.count, lengths[p.ordinal]})
	}
	for len(peaks) > maxPeaks {
		n := len(peaks)
		peaks[n-2].count = peaks[n-1].count // counts rise with lengths
		peaks = peaks[:n-1]
	}
	return peaks
}

// addPeak keeps peaks in order: lengths and counts rise strictly.
func addPeak(peaks []peak, p peak) []peak {
	at := 0
	for at < len(peaks) && peaks[at].length <= p.length {
		if peaks[at].count >= p.count {
			return peaks
		}
		at++
	}
	if at > 0 && peaks[at-1].length == p.length {
		at--
	}
	end := at
	for end < len(peaks) && peaks[end].count <= p.count {
		end++
	}
	if at == end {
		peaks = append(peaks, peak{})
		copy(peaks[at+1:], peaks[at:])
		peaks[at] = p
		return peaks
	}
	peaks[at] = p
	return append(peaks[:at+1], peaks[end:]...)
}

// appendBlock appends the distances of ordinals, the first from last, and the
// counts less one: packed to the bits that the largest needs.
func appendBlock(dst []byte, block []posting, last uint32) []byte {
	var gaps, counts [blockSize]uint32
	var all, most uint32
	for i, p := range block {
		gaps[i], counts[i] = p.ordinal-last, p.count-1
		last = p.ordinal
		all |= gaps[i]
		most |= counts[i]
	}
	widths := [2]int{bits.Len32(all), bits.Len32(most)}
	dst = append(dst, byte(widths[0]), byte(widths[1]))
	dst = pack(dst, gaps[:len(block)], widths[0])
	return pack(dst, counts[:len(block)], widths[1])
}

// pack appends values of width bits each, the first in the lowest bits.
func pack(dst []byte, values []uint32, width int) []byte {
	var held uint64
	n := 0
	for _, v := range values {
		held |= uint64(v) << n
		for n += width; n >= 8; n -= 8 {
			dst = append(dst, byte(held))
			held >>= 8
		}
	}
	if n > 0 {
		dst = append(dst, byte(held))
	}
	return dst
}

// packed is how many bytes pack makes.
func packed(values, width int) int { return (values*width + 7) / 8 }

// unpack reads values of width bits. src has packed(len(values), width) bytes.
func unpack(src []byte, width int, values []uint32) {
	if width == 0 {
		clear(values)
		return
	}
	mask := uint64(1)<<width - 1
	i := 0
	// Eight bytes at once, while they are there: a value of up to 32 bits and 7
	// bits before it lie within them.
	for at := 0; i < len(values); i++ {
		from := at >> 3
		if from+8 > len(src) {
			break
		}
		values[i] = uint32(binary.LittleEndian.Uint64(src[from:]) >> (at & 7) & mask)
		at += width
	}
	if i == len(values) {
		return
	}
	// The end of src, with room behind it.
	var tail [16]byte
	from := i * width >> 3
	copy(tail[:], src[from:])
	at := i*width - from<<3
	for ; i < len(values); i++ {
		values[i] = uint32(binary.LittleEndian.Uint64(tail[at>>3:]) >> (at & 7) & mask)
		at += width
	}
}

// block is what the head of a list says of a block.
type block struct {
	before uint32 // ordinal of the posting before the first; 0 for the first block
	last   uint32
	at     int // within the list's data
	size   int
	bound  int64 // no posting of the block scores more
}

// list is a list of postings that was read, for one query.
type list struct {
	blocks []block
	data   []byte
	count  int // postings
}

// bounder gives the bound of a score by a peak.
type bounder func(p peak) int64

// parseList reads the head of a list of count postings in a segment of n
// passages. The blocks themselves are read by cursors.
func parseList(b []byte, count, n int, bound bounder, blocks []block) (list, error) {
	r := reader{b: b}
	at, last := 0, uint32(0)
	blocks = blocks[:0]
	for left := count; left > 0; left -= blockSize {
		gap, size := r.uvarint(), r.integer()
		k := block{before: last, at: at, size: size}
		if gap >= uint64(n) || uint64(last)+gap >= uint64(n) || gap == 0 && left != count {
			r.fail()
		}
		last += uint32(gap)
		k.last = last
		peaks := r.take(1)
		if r.err != nil || peaks[0] == 0 || peaks[0] > maxPeaks {
			return list{}, errDamaged
		}
		for range peaks[0] {
			p := peak{count: uint32(min(r.uvarint(), math.MaxUint32)), length: uint32(min(r.uvarint(), math.MaxUint32))}
			k.bound = max(k.bound, bound(p))
		}
		blocks = append(blocks, k)
		at += size
	}
	if r.err != nil || at != len(r.b) {
		return list{}, errDamaged
	}
	return list{blocks: blocks, data: r.b, count: count}, nil
}

// decode reads the ordinals and counts of block i, and returns how many there
// are. Every ordinal lies behind the block before and not behind its last.
func (l *list) decode(i int, ordinals, counts *[blockSize]uint32) (int, error) {
	k := &l.blocks[i]
	n := min(blockSize, l.count-i*blockSize)
	b := l.data[k.at : k.at+k.size]
	if len(b) < 2 || b[0] > 32 || b[1] > 32 || len(b) != 2+packed(n, int(b[0]))+packed(n, int(b[1])) {
		return 0, errDamaged
	}
	gaps := packed(n, int(b[0]))
	unpack(b[2:2+gaps], int(b[0]), ordinals[:n])
	unpack(b[2+gaps:], int(b[1]), counts[:n])
	last := k.before
	for j := range n {
		gap := ordinals[j]
		if gap == 0 && (i > 0 || j > 0) || gap > k.last-last {
			return 0, errDamaged
		}
		last += gap
		ordinals[j] = last
		counts[j]++
	}
	if last != k.last {
		return 0, errDamaged
	}
	return n, nil
}
