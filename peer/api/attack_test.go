package api_test

import (
	"fmt"
	"strings"
	"testing"

	"shoal/peer/api/apitest"
)

// TestGarbage sends what nobody in their right mind writes. Each is refused with a reason, or means what it says; none makes the peer fail, and
// what runs goes on.
func TestGarbage(t *testing.T) {
	const deployments = "/apis/apps/v1/namespaces/default/deployments"
	annotated := func(name, annotations string) string {
		return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"annotations":{%s}},"spec":{"replicas":1,"selector":{"matchLabels":{"app":%[1]q}},
			"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"containers":[{"name":"web","image":"web:1"}]}}}}`, name, annotations)
	}
	taint := func(text string) string { return `{"spec":{"taints":[` + text + `]}}` }
	cases := []struct {
		method, path, kind, body string
		code                     int
	}{
		{"POST", deployments, "application/json", annotated("a", `"shoal/split":"sometimes"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/lost-wait":"-3m"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/lost-wait":"9999999999h"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/max-moving":"0"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/max-moving":"many"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/restart.-1":"x"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/restart.99999999999999999999":"x"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/witnesses":",,,"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/split":"witness","shoal/witnesses":"p1,p1,p1"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/split":"witness"`), 422},
		{"POST", deployments, "application/json", annotated("a", `"shoal/split":"freeze","shoal/exclusive":"true"`), 422},
		{"POST", deployments, "application/json", annotated("marked", `"shoal/restart.0":"yesterday, at noon"`), 201},
		{"POST", deployments, "application/json", strings.Replace(annotated("a", ""), `"replicas":1`, `"replicas":1e18`, 1), 422},
		{"POST", deployments, "application/json", strings.Replace(annotated("a", ""), `"replicas":1`, `"strategy":{"rollingUpdate":{"maxUnavailable":"999999999999999999%"}}`, 1), 422},
		{"POST", deployments, "application/json", strings.Replace(annotated("a", ""), `"replicas":1`, `"strategy":{"rollingUpdate":{"maxUnavailable":-1}}`, 1), 422},
		{"POST", budgetsPath, "application/json", `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"minAvailable":1,"maxUnavailable":1,"selector":{}}}`, 422},
		{"POST", budgetsPath, "application/json", `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"minAvailable":"101%","selector":{}}}`, 422},
		{"POST", budgetsPath, "application/json", `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"minAvailable":-1,"selector":{}}}`, 422},
		{"POST", budgetsPath, "application/json", `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"never"},"spec":{"minAvailable":10000,"selector":{}}}`, 201},
		{"POST", budgetsPath, "application/json", `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"always"},"spec":{"maxUnavailable":"100%","selector":{}}}`, 201},
		{"PATCH", "/api/v1/nodes/nobody", mergePatch, taint(`{"key":"a","effect":"NoExecute"}`), 404},
		{"POST", "/api/v1/nodes", "application/json", `{"apiVersion":"v1","kind":"Node","metadata":{"name":"later"},"spec":{"unschedulable":true}}`, 201},
		{"POST", "/api/v1/nodes", "application/json", `{"apiVersion":"v1","kind":"Node","metadata":{"name":"../etc"},"spec":{}}`, 422},
		{"PATCH", "/api/v1/nodes/p1", mergePatch, taint(`{"key":"a","effect":"Sometimes"}`), 422},
		{"PATCH", "/api/v1/nodes/p1", mergePatch, taint(`{"key":"a b","effect":"NoExecute"}`), 422},
		{"PATCH", "/api/v1/nodes/p1", mergePatch, taint(`{"key":"a","effect":"NoExecute","timeAdded":"yesterday"}`), 201},
		{"PATCH", "/api/v1/nodes/p1", mergePatch, taint(`{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule","value":"x"}`), 422},
		{"PATCH", "/api/v1/nodes/p1", mergePatch, `{"metadata":{"annotations":{"shoal/drain":"perhaps"}}}`, 422},
		{"POST", evictPath, "application/json", `{"kind":"Eviction","deleteOptions":{"dryRun":"All"}}`, 400},
		{"POST", evictPath, "application/json", eviction, 429},
		{"POST", "/apis/shoal/v1/what-if", "application/json", `{"drain":["nobody"]}`, 404},
		{"POST", "/apis/shoal/v1/what-if", "application/json", `{"add":[{"name":"x","cpuMillis":9223372036854775807,"memoryBytes":9223372036854775807}]}`, 200},
		{"POST", "/apis/shoal/v1/what-if", "application/json", `{"lose":["p1"],"drain":["p1"]}`, 200},
	}
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	before := dig(t, c.get("/api/v1/namespaces/default/pods/web-0"), "metadata.uid")
	for _, k := range cases {
		w := c.do(k.method, k.path, k.kind, k.body)
		if w.Code != k.code {
			t.Errorf("%s %s %s: %d, want %d: %s", k.method, k.path, k.body, w.Code, k.code, strings.TrimSpace(w.Body.String()))
		}
	}
	want(t, c.get("/api/v1/namespaces/default/pods/web-0"), "metadata.uid", before)
	want(t, c.get("/api/v1/namespaces/default/pods/marked-0"), "status.phase", "Running")
	want(t, c.get(budgetsPath+"/never"), "status.disruptionsAllowed", 0.0)
	want(t, c.get(budgetsPath+"/always"), "status.disruptionsAllowed", 4.0)
}
