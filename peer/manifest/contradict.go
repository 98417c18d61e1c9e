package manifest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"shoal/placement"
)

// contradiction says why no set of labels meets all requirements; empty where some may. It looks at each key by itself: no
// requirement speaks of two.
func contradiction(all []placement.Requirement) string {
	byKey := map[string]*bounds{}
	for _, r := range all {
		if byKey[r.Key] == nil {
			byKey[r.Key] = &bounds{above: math.MinInt64, below: math.MaxInt64}
		}
		byKey[r.Key].narrow(r)
	}
	for _, key := range sortedKeys(byKey) {
		if byKey[key].empty() {
			return fmt.Sprintf("%s cannot be %s at once", key, strings.Join(byKey[key].texts, " and "))
		}
	}
	return ""
}

// bounds is what requirements leave of one key.
type bounds struct {
	there, absent bool     // it must be there, it must not
	listed        bool     // its value must be among in
	in, out       []string // sorted by nothing: as they are written
	above, below  int64    // of a number, both excluded
	number        bool
	texts         []string
}

func (b *bounds) narrow(r placement.Requirement) {
	b.texts = append(b.texts, requirementText(r))
	switch r.Operator {
	case placement.In:
		if b.listed {
			b.in = slices.DeleteFunc(b.in, func(v string) bool { return !slices.Contains(r.Values, v) })
		} else {
			b.in = slices.Clone(r.Values)
		}
		b.there, b.listed = true, true
	case placement.NotIn:
		b.out = append(b.out, r.Values...)
	case placement.Exists:
		b.there = true
	case placement.DoesNotExist:
		b.absent = true
	case placement.Gt, placement.Lt:
		b.there, b.number = true, true
		n, err := strconv.ParseInt(strings.Join(r.Values, ""), 10, 64)
		switch {
		case err != nil: // a fault of its own
		case r.Operator == placement.Gt:
			b.above = max(b.above, n)
		default:
			b.below = min(b.below, n)
		}
	}
}

// empty says whether nothing is left.
func (b *bounds) empty() bool {
	if b.there && b.absent {
		return true
	}
	if b.number && (b.below == math.MinInt64 || b.above >= b.below-1) {
		return true
	}
	return b.listed && !slices.ContainsFunc(b.in, b.fits)
}

func (b *bounds) fits(value string) bool {
	if slices.Contains(b.out, value) {
		return false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return !b.number || err == nil && b.above < n && n < b.below
}

// requirementText is a requirement on a key in words, without the key.
func requirementText(r placement.Requirement) string {
	values := strings.Join(r.Values, ", ")
	if len(r.Values) != 1 {
		values = "(" + values + ")"
	}
	switch r.Operator {
	case placement.In:
		return values
	case placement.NotIn:
		return "not " + values
	case placement.Exists:
		return "there"
	case placement.DoesNotExist:
		return "absent"
	case placement.Gt:
		return "above " + values
	}
	return "below " + values
}
