package crdt

import "strings"

// Above says whether p is q, or a place that q lies below. The empty path is above all.
func (p Path) Above(q Path) bool {
	if p == "" || p == q {
		return true
	}
	return len(q) > len(p) && q[len(p)] == '/' && strings.HasPrefix(string(q), string(p))
}

// parent returns the path one segment above p; false for the empty path.
func (p Path) parent() (Path, bool) {
	if p == "" {
		return "", false
	}
	return p[:max(0, strings.LastIndexByte(string(p), '/'))], true
}
