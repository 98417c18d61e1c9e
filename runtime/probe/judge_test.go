package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each step is a verdict ("ok", "here", or the detail of a failure), how often it comes, and what is reported: the
// number of the verdict and the result, or nothing.
func TestJudge(t *testing.T) {
	for name, script := range map[string]struct {
		judge judge
		steps string
	}{
		"ready at once":                       {judge{success: 1, failure: 3}, `1 ok = 1 true`},
		"only changes":                        {judge{success: 1, failure: 1}, `5 ok = 1 true; 5 no = 1 false; 5 ok = 1 true`},
		"success in a row":                    {judge{success: 3, failure: 3}, `2 ok =; 1 no =; 2 ok =; 1 ok = 1 true`},
		"failure in a row":                    {judge{success: 1, failure: 3}, `1 ok = 1 true; 2 no =; 1 ok =; 2 no =; 1 no = 1 false`},
		"first failure at the threshold":      {judge{success: 1, failure: 3}, `2 no =; 1 no = 1 false; 9 no =; 1 ok = 1 true`},
		"quiet while young":                   {judge{success: 1, failure: 2, quiet: 4 * time.Second}, `4 no =; 1 no = 1 false`},
		"ready while young":                   {judge{success: 1, failure: 1, quiet: 4 * time.Second}, `3 no =; 1 ok = 1 true`},
		"not quiet after ready":               {judge{success: 1, failure: 1, quiet: 9 * time.Second}, `1 ok = 1 true; 1 no = 1 false`},
		"liveness is not quiet":               {judge{success: 1, failure: 2, quiet: 9 * time.Second, liveness: true}, `1 no =; 1 no = 1 false`},
		"a new cause that lasts":              {judge{success: 1, failure: 2}, `2 no = 2 false; 1 503 =; 1 503 = 1 false; 5 503 =; 2 no = 2 false`},
		"a cause that changes each time":      {judge{success: 1, failure: 2}, `2 no = 2 false; 1 a =; 1 b =; 1 a =; 1 b =`},
		"causes here are not the container's": {judge{success: 1, failure: 1, liveness: true}, `5 here =; 1 ok = 1 true; 5 here =; 1 no = 1 false`},
		"causes here make it not ready":       {judge{success: 1, failure: 1}, `1 ok = 1 true; 1 here = 1 false`},
	} {
		t.Run(name, func(t *testing.T) {
			j, at := script.judge, time.Duration(0)
			for step := range strings.SplitSeq(script.steps, ";") {
				did, want, _ := strings.Cut(step, "=")
				var times int
				var what string
				if _, err := fmt.Sscan(did, &times, &what); err != nil {
					t.Fatal(err)
				}
				var got []string
				for i := range times {
					if j.take(verdict{ok: what == "ok", here: what == "here", detail: what}, at) {
						got = append(got, fmt.Sprint(i+1, " ", j.ok))
					}
					at += time.Second
				}
				if strings.Join(got, ", ") != strings.TrimSpace(want) {
					t.Fatalf("after %q: %q, want %q", did, got, want)
				}
			}
		})
	}
}
