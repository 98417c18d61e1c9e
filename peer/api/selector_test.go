package api

import "testing"

func TestSelectors(t *testing.T) {
	o := object{"metadata": object{"name": "x", "labels": object{"a": "1", "b": "2"}}}
	for text, want := range map[string]bool{
		"": true, "a=1": true, "a==1": true, "a=2": false, "a!=2": true, "c!=2": true, "a=1,b=2": true, "a=1,b=3": false,
		"a": true, "c": false, "!c": true, "!a": false, "a in (1,2)": true, "a in(3)": false, "a notin (3, 4)": true,
		"a in (1, 2),b notin (2)": false, "c notin (1)": true,
	} {
		labels, err := parseLabels(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := (selection{labels: labels}).matches(o); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, text := range []string{"a b", "=1", "a in 1", "a=b=c", ",", "a in (1", "a=1,"} {
		if _, err := parseLabels(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
