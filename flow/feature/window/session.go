package window

// continueSession goes on with a session over the events before hi that are
// not in it yet.
func (e *engine) continueSession(k *key, s *span, x *extent, hi int) {
	if x.stale {
		return
	}
	for i := k.hi; i < hi; i++ {
		row := k.ring.row(i, e.plan.stride)
		if row[wordFlags]>>s.filter&1 == 0 {
			continue
		}
		t := int64(row[wordTime])
		if !x.some || less(t, s.length) >= x.last {
			x.reset()
			x.lo, x.tile, x.some = i, 0, true
		}
		x.last = t
		e.apply(&s.layout, &x.partial, row, 1)
		e.peaks(s, x, row, t)
	}
}

// findSession makes the session that is the present one at the time of the
// key: it goes back from there as long as the gaps are short enough.
func (e *engine) findSession(k *key, s *span, x *extent) {
	stride := e.plan.stride
	x.reset()
	x.lo, x.tile, x.some = k.hi, 0, false
	oldest := int64(0) // of those in the session so far
	i := k.hi - 1
	for ; i >= 0; i-- {
		row := k.ring.row(i, stride)
		if row[wordFlags]>>s.filter&1 == 0 {
			continue
		}
		t := int64(row[wordTime])
		if !x.some {
			x.some, x.last = true, t
		} else if less(oldest, s.length) >= t {
			break
		}
		oldest, x.lo = t, i
	}
	if tiles := k.tiles[s.tiling]; i < 0 && len(tiles) > 0 && (!x.some || less(oldest, s.length) < tiles[0].last) {
		if !x.some {
			x.some, x.last = true, tiles[0].last
		}
		x.tile = 1
		e.merge(s, &x.partial, &tiles[0].partial, 1)
		e.tilePeaks(s, x, &tiles[0])
	}
	for i := x.lo; i < k.hi; i++ {
		row := k.ring.row(i, stride)
		if row[wordFlags]>>s.filter&1 != 0 {
			e.apply(&s.layout, &x.partial, row, 1)
			e.peaks(s, x, row, int64(row[wordTime]))
		}
	}
}

// present tells whether a session goes on at a time.
func (s *span) present(x *extent, at int64) bool {
	return x.some && less(at, s.length) < x.last
}
