// Package examples holds projects to read and to begin one's own from: each
// folder is a project. Its tests load every one and hold it against the data
// that it is about, so that none of them rots.
package examples
