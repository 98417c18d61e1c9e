package bubble

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/peer/api"
	"shoal/peer/control"
)

// equalViews waits until all peers have equal views, and looks at them for as long as their answers are compared.
func (w *World) equalViews() {
	w.t.Helper()
	for range 600 {
		views := map[control.ViewDigest]bool{}
		for _, p := range w.peers {
			p.read(func(m *control.Machine) { views[m.ViewDigest()] = true })
		}
		if len(views) == 1 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("the peers never have equal views")
}

// allSay asks every peer the same and expects answers that are equal to the byte. A bit of the view may change while they are
// asked, so a few tries are granted; the answers say by which view they were given.
func (w *World) allSay(method, path, body string) string {
	w.t.Helper()
	differ := ""
	for range 5 {
		w.equalViews()
		first := ""
		differ = ""
		for _, p := range w.peers {
			answer := p.serve(method, path, "application/json", body)
			if answer.Code != http.StatusOK {
				w.t.Fatalf("%s: %s: %d %s", p.Name, path, answer.Code, answer.Body)
			}
			switch text := answer.Body.String(); {
			case first == "":
				first = text
			case text != first:
				differ = fmt.Sprintf("%s and %s answer %s otherwise:\n%s\n%s", w.peers[0].Name, p.Name, path, first, text)
			}
		}
		if differ == "" {
			return first
		}
	}
	w.t.Error(differ)
	return ""
}

// TestAllPeersExplainAlike asks all peers why replicas are where they are and not elsewhere, and what would be if.
func TestAllPeersExplainAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 5)
		defer w.Close()
		time.Sleep(30 * time.Second)
		w.peers[0].Apply("web", web(6, "blue"))
		w.peers[1].Apply("huge", strings.NewReplacer("web}", "huge}", "cpu: 100m", "cpu: 900").Replace(web(1, "blue")))
		time.Sleep(30 * time.Second)
		for i := range 6 {
			replica := fmt.Sprintf("why-not/default/web-%d", i)
			w.allSay("GET", "/apis/shoal/v1/"+replica, "")
			w.allSay("GET", "/apis/shoal/v1/"+replica+"?node=p3", "")
		}
		var why api.WhyNot
		if err := json.Unmarshal([]byte(w.allSay("GET", "/apis/shoal/v1/why-not/default/huge-0", "")), &why); err != nil || why.Pending == "" || why.Remedy == "" || len(why.Verdicts) != 5 {
			t.Errorf("what fits nowhere is explained so: %+v %v", why, err)
		}
		w.allSay("GET", "/apis/shoal/v1/ring/Deployment/default/web", "")
		w.allSay("POST", "/apis/shoal/v1/what-if", `{"lose": ["p2", "p4"]}`)
		w.allSay("POST", "/apis/shoal/v1/what-if", `{"drain": ["p1"], "add": [{"name": "p9", "cpuMillis": 4000, "memoryBytes": 4294967296}]}`)
	})
}
