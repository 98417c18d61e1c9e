package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/runtime"
)

func TestExpand(t *testing.T) {
	c := runtime.Container{
		Command: []string{"run", "--at=$(URL)", "$$(HOST)", "$(NONE)", "$HOST", "$", "$(HOST", "$(PRICE)"},
		Env: []runtime.Env{{Name: "HOST", Value: "web"}, {Name: "LOOP", Value: "x$(LOOP)"}, {Name: "PRICE", Value: "5$$(HOST)"},
			{Name: "URL", Value: "http://$(HOST):$(PORT)/"}, {Name: "PORT", Value: "80"}},
	}
	expand(&c)
	want := runtime.Container{
		Command: []string{"run", "--at=http://web:80/", "$(HOST)", "$(NONE)", "$HOST", "$", "$(HOST", "5$(HOST)"},
		Env: []runtime.Env{{Name: "HOST", Value: "web"}, {Name: "LOOP", Value: "x$(LOOP)"}, {Name: "PRICE", Value: "5$(HOST)"},
			{Name: "URL", Value: "http://web:80/"}, {Name: "PORT", Value: "80"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestExpandIsBounded(t *testing.T) {
	var c runtime.Container
	for i := range 14 {
		next := "$(" + string(rune('B'+i)) + ")"
		c.Env = append(c.Env, runtime.Env{Name: string(rune('A' + i)), Value: strings.Repeat(next, 40)})
	}
	c.Env = append(c.Env, runtime.Env{Name: "O", Value: "end"})
	expand(&c)
	for _, e := range c.Env {
		if len(e.Value) > 3*maxExpanded {
			t.Errorf("%s has grown to %d bytes", e.Name, len(e.Value))
		}
	}
}

func BenchmarkWorkloadOf(b *testing.B) {
	documents, err := Decode("web.yaml", []byte(web))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		WorkloadOf(documents[0].Key, documents[0].Tree)
	}
}

func BenchmarkDecode(b *testing.B) {
	for b.Loop() {
		if _, err := Decode("web.yaml", []byte(web)); err != nil {
			b.Fatal(err)
		}
	}
}
