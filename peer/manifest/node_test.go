package manifest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestShortcutsOfJSON holds encode and decodeValue, which take a shorter way for most values, against encoding/json.
func TestShortcutsOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`-?[0-9]{0,5}(\.[0-9])?(e5)?`), rapid.StringMatching(`"[ -~\x00-\x1f]{0,4}"?`)).Draw(t, "text")
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(text); err != nil {
			t.Fatal(err)
		}
		if want := bytes.TrimRight(b.Bytes(), "\n"); !bytes.Equal(want, encode(text)) {
			t.Errorf("%q is encoded as %s, not %s", text, encode(text), want)
		}
		for _, data := range [][]byte{[]byte(text), encode(text)} {
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.UseNumber()
			var want any
			if err := decoder.Decode(&want); err != nil {
				want = string(data)
			}
			if diff := cmp.Diff(want, decodeValue(data)); diff != "" {
				t.Errorf("%s: %s", data, diff)
			}
		}
	})
}
