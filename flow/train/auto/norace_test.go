//go:build !race

package auto_test

const underRace = false
