package source

import "net/url"

// RobotsAllow reads rules and asks them, for fuzzing.
func RobotsAllow(text, path string) bool {
	return parseRobots(text, webAgent).allows(&url.URL{Path: path})
}
