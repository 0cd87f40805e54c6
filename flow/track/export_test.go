package track

// Kept is how many bytes searches of runs keep.
func (t *Track) Kept() int64 {
	t.Runs.index.mu.Lock()
	defer t.Runs.index.mu.Unlock()
	return t.Runs.index.used
}
