package manifest

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestNamesAreThoseOfTheExpressions holds what is checked by hand against the expressions that it stands for.
func TestNamesAreThoseOfTheExpressions(t *testing.T) {
	for _, c := range []struct {
		check func(string) bool
		model *regexp.Regexp
	}{
		{isLabel, regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)},
		{isName, regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)},
		{labelKey, regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)},
	} {
		good, bad := 0, 0
		rapid.Check(t, func(t *rapid.T) {
			text := ""
			for range rapid.IntRange(0, 6).Draw(t, "parts") {
				text += rapid.SampledFrom([]string{"a", "z9", "A", "Z", "-", "_", ".", "/", "\n", "é", " ", string(make([]byte, 1)),
					rapid.StringMatching(`[a-z0-9]{60,64}`).Draw(t, "long"), rapid.StringMatching(`[a-z.]{250,254}`).Draw(t, "longer")}).Draw(t, "part")
			}
			want := c.model.MatchString(text)
			if got := c.check(text); got != want {
				t.Errorf("%q: %v, the expression says %v", text, got, want)
			}
			if want {
				good++
			} else {
				bad++
			}
		})
		if good == 0 || bad == 0 {
			t.Errorf("%s: %d texts that fit and %d that do not were tried", c.model, good, bad)
		}
	}
}
