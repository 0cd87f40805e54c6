package source

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxRobots is how much of a robots.txt counts, in bytes: what RFC 9309 asks to
// be read at least.
const maxRobots = 512 << 10

// robots are the rules of a site for one program (RFC 9309). The zero robots
// forbid nothing.
type robots struct {
	rules []robotRule
	delay time.Duration
}

type robotRule struct {
	pattern string
	allow   bool
}

// parseRobots reads the group of an agent, or else that of all.
func parseRobots(text, agent string) *robots {
	mine, all := &robots{}, &robots{}
	own := false
	var into []*robots // the groups that lines now belong to
	naming := false    // the line before named an agent
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if key == "user-agent" {
			if !naming {
				into = nil
			}
			naming = true
			switch name := strings.ToLower(value); {
			case name == "*":
				into = append(into, all)
			case name != "" && strings.HasPrefix(strings.ToLower(agent), name):
				into, own = append(into, mine), true
			}
			continue
		}
		naming = false
		for _, r := range into {
			r.line(key, value)
		}
	}
	if own {
		return mine
	}
	return all
}

func (r *robots) line(key, value string) {
	switch key {
	case "allow", "disallow":
		if value != "" { // an empty one forbids nothing
			r.rules = append(r.rules, robotRule{value, key == "allow"})
		}
	case "crawl-delay":
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && seconds < 3600 {
			r.delay = time.Duration(seconds * float64(time.Second))
		}
	}
}

// allows tells whether an address may be read: the longest rule that fits
// counts, of two equally long the one that allows.
func (r *robots) allows(u *url.URL) bool {
	path := u.EscapedPath()
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	allowed, longest := true, -1
	for _, rule := range r.rules {
		if len(rule.pattern) < longest || !robotMatch(rule.pattern, path) {
			continue
		}
		if len(rule.pattern) > longest || rule.allow {
			allowed, longest = rule.allow, len(rule.pattern)
		}
	}
	return allowed
}

// robotMatch tells whether a path begins with a pattern in which * is anything
// and a $ at the end is the path's end.
func robotMatch(pattern, path string) bool {
	pattern, toEnd := strings.CutSuffix(pattern, "$")
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	path = path[len(parts[0]):]
	for i, part := range parts[1:] {
		if toEnd && i == len(parts)-2 {
			return strings.HasSuffix(path, part)
		}
		at := strings.Index(path, part)
		if at < 0 {
			return false
		}
		path = path[at+len(part):]
	}
	return !toEnd || path == ""
}
