//go:build !race

package heap

const raced = false
