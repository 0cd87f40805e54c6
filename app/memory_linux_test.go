package app

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// residentText is how many bytes of the program's text are in memory.
func residentText(t *testing.T) (bytes int) {
	t.Helper()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inText := false
	for line := range strings.Lines(string(text)) {
		if _, _, ok := textOf(strings.TrimSpace(line), self); ok {
			inText = true
		} else if rss, ok := strings.CutPrefix(line, "Rss:"); ok && inText {
			kib, _ := strconv.Atoi(strings.Fields(rss)[0])
			bytes, inText = bytes+kib<<10, false
		}
	}
	return bytes
}

func TestTextThatRanOnceIsLetGo(t *testing.T) {
	before := residentText(t)
	if err := dropText(); err != nil {
		t.Fatal(err)
	}
	if after := residentText(t); before == 0 || after > before/2 {
		t.Errorf("%d bytes of text became %d", before, after)
	}
}

func TestOnlyTheProgramItselfIsText(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-08e80000 r-xp 00000000 08:01 42 /usr/bin/leat":           true,
		"00400000-08e80000 rw-p 00000000 08:01 42 /usr/bin/leat":           false,
		"00400000-08e80000 r-xp 00000000 08:01 42 /usr/lib/libc.so.6":      false,
		"00400000-08e80000 r-xp 00000000 08:01 42 /usr/bin/leat (deleted)": false,
		"08e80000-00400000 r-xp 00000000 08:01 42 /usr/bin/leat":           false,
		"": false,
	} {
		if _, _, ok := textOf(line, "/usr/bin/leat"); ok != want {
			t.Errorf("%q: %t", line, ok)
		}
	}
}

func TestBoundOfAControlGroup(t *testing.T) {
	for text, want := range map[string]int64{"536870912\n": 512 << 20, "max\n": 0, "9223372036854771712\n": 0, "": 0, "-1": 0} {
		if got, bound := boundOf(text); bound != (want > 0) || bound && got != want {
			t.Errorf("%q: %d, %t", text, got, bound)
		}
	}
}

func TestHeadroomGrowsUnderLoadAndShrinks(t *testing.T) {
	room := int64(headroom)
	for range 5 {
		room = roomAfter(room, 100*time.Millisecond)
	}
	if room != mostHeadroom {
		t.Errorf("%d bytes under load", room)
	}
	if roomAfter(room, 5*time.Second) != room {
		t.Error("it changes where collections are neither often nor rare")
	}
	for range 5 {
		room = roomAfter(room, time.Minute)
	}
	if room != headroom {
		t.Errorf("%d bytes when all is quiet", room)
	}
}
