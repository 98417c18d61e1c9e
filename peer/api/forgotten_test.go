package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// TestRollbackBeforeADeletionThatIsForgotten checks that the past of an object outlives the operations of its deletion.
func TestRollbackBeforeADeletionThatIsForgotten(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	c.apply(webManifest)
	c.scale(5)
	c.must(200, "DELETE", deploymentsPath+"/web", "", "")
	want(t, c.get("/apis/shoal/v1/floor"), "forgettable", 1.0)
	for range 48 {
		b.Advance(time.Hour)
	}
	floor := c.get("/apis/shoal/v1/floor")
	if len(b.Seen(webKey)) != 0 || dig(t, floor, "closed") == nil || dig(t, floor, "forgettable") != 0.0 {
		t.Fatalf("the deletion is not forgotten: %v, seen %v", floor, b.Seen(webKey))
	}
	if past := history(c); len(past) != 3 || past[0].Verb != "delete" {
		t.Errorf("history %+v", past)
	}
	want(t, c.must(409, "POST", rollbackPath, "", `{"to":"1"}`), "message", "Deployment/default/web did not exist then: to have it so, delete it")
	done, _ := into[api.Rollback](c, 200, "POST", rollbackPath, `{"to":"3"}`)
	if done.Result != "created" || done.To.Verb != "create" {
		t.Errorf("%+v", done)
	}
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 3.0)
	want(t, c.get(deploymentsPath+"/web"), "status.readyReplicas", 3.0)
}

// TestRollbackBeyondTheHistory checks what is said of changes that are no longer known.
func TestRollbackBeyondTheHistory(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	stamp := history(c)[0].Stamp
	want(t, c.must(404, "POST", rollbackPath, "", `{"to":"2"}`), "message", "there is no number 2 in the history: it goes from 1, the newest, to 1")
	for n := range 40 {
		c.scale(4 + n%2)
	}
	kept := len(history(c))
	want(t, c.must(404, "POST", rollbackPath, "", `{"to":"41"}`), "message", fmt.Sprintf(
		"there is no number 41 in the history: it goes from 1, the newest, to %d; what was before is not known here any more", kept))
	w := c.must(404, "POST", rollbackPath, "", `{"to":"`+stamp+`"}`)
	if text := w["message"].(string); !strings.Contains(text, "is neither a number nor a stamp in the history") || !strings.Contains(text, "not known here any more") {
		t.Errorf("got %q", text)
	}
	into[api.Rollback](c, 200, "POST", rollbackPath, fmt.Sprintf(`{"to":"%d"}`, kept))
	for _, x := range []struct{ method, path string }{{"GET", historyPath}, {"POST", rollbackPath}} {
		path := strings.Replace(x.path, "/web", "/never", 1)
		want(t, c.must(404, x.method, path, "", ""), "message", `nothing is known here of Deployment/default/never, nor of its past: of objects that were deleted, the last 1,024 are remembered`)
	}
}
