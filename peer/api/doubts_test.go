package api_test

import (
	"strings"
	"testing"

	"shoal/gossip"
	"shoal/peer/api/apitest"
)

func TestPeersThatNobodyKnowsAreWarnedOf(t *testing.T) {
	b := apitest.New("p1")
	b.AddPeer("p2", gossip.Alive, nil)
	c := newClient(t, b, "p1")
	for annotations, want := range map[string]string{
		`{shoal/split: witness, shoal/witnesses: "p1,p7,p8"}`: `no peer is called p7 or p8 yet: nothing runs of it until 2 of its 3 witnesses are there`,
		`{shoal/split: witness, shoal/witnesses: "p1,p2,p8"}`: `no peer is called p8 yet`,
		`{shoal/split: home, shoal/home: attic}`:              `no peer is called attic yet: nothing runs of it until 1 of its 1 witnesses are there`,
		`{shoal/split: home, shoal/home: p2}`:                 ``,
		`{note: x}`:                                           ``,
	} {
		text := strings.Replace(webManifest, "{name: web}", "{name: web, annotations: "+annotations+"}", 1)
		c.do("DELETE", deploymentsPath+"/web", "", "")
		w := c.do("PATCH", deploymentsPath+"/web?fieldManager=shoal&force=true", "application/apply-patch+yaml", text)
		if got := w.Header().Get("Warning"); w.Code > 201 || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %d, warning %q, want %q", annotations, w.Code, got, want)
		}
	}
	w := c.do("PATCH", "/api/v1/nodes/p9?fieldManager=shoal", "application/apply-patch+yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: p9}\n")
	if got := w.Header().Get("Warning"); !strings.Contains(got, "no peer is called p9 yet") {
		t.Errorf("warning %q", got)
	}
}
