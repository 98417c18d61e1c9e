package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// managers lists an object's managedFields, one line for each entry.
func managers(t *testing.T, o map[string]any) (list []string) {
	t.Helper()
	entries, _ := dig(t, o, "metadata.managedFields").([]any)
	for _, item := range entries {
		e := item.(map[string]any)
		fields, err := json.Marshal(e["fieldsV1"])
		if err != nil || e["time"] == nil || e["apiVersion"] != "apps/v1" || e["fieldsType"] != "FieldsV1" {
			t.Errorf("an entry is %v", e)
		}
		list = append(list, fmt.Sprint(e["manager"], " of ", e["user"], " ", e["operation"], " ", len(fields) > 100))
	}
	return list
}

func TestManagedFieldsSayWhoOwnsWhat(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	c.user = "alice"
	c.scale(5)
	const both = "[shoal of root Apply true shoal-scale of alice Update false]"
	d := c.get(deploymentsPath + "/web")
	if got := fmt.Sprint(managers(t, d)); got != both {
		t.Errorf("got %s, want %s", got, both)
	}
	fields, _ := json.Marshal(dig(t, d, "metadata.managedFields.1.fieldsV1"))
	if string(fields) != `{"f:spec":{"f:replicas":{}}}` {
		t.Errorf("alice owns %s", fields)
	}
	list := c.get(deploymentsPath)["items"].([]any)
	if got := fmt.Sprint(managers(t, list[0].(map[string]any))); got != both {
		t.Errorf("the list has %s", got)
	}
	if dig(t, c.get("/api/v1/pods"), "items.0.metadata.managedFields") != nil {
		t.Error("a pod has managedFields, and nobody wrote it")
	}
}

// TestManagedFieldsAreIgnoredOnInput sends them back in every form, also as kubectl does to take over what it applied on its own side before.
func TestManagedFieldsAreIgnoredOnInput(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	d := c.get(deploymentsPath + "/web")
	whole, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	version := dig(t, d, "metadata.resourceVersion").(string)
	const other = `[{"manager":"thief","operation":"Apply","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}]`
	for _, x := range []struct{ method, kind, body string }{
		{"PUT", "application/json", string(whole)},
		{"PATCH", "application/json-patch+json", `[{"op":"replace","path":"/metadata/managedFields","value":` + other + `},{"op":"replace","path":"/metadata/resourceVersion","value":"` + version + `"}]`},
		{"PATCH", "application/json-patch+json", `[{"op":"remove","path":"/metadata/managedFields"}]`},
		{"PATCH", "application/merge-patch+json", `{"metadata":{"managedFields":` + other + `}}`},
		{"PATCH", "application/strategic-merge-patch+json", `{"metadata":{"managedFields":` + other + `}}`},
	} {
		w := c.do(x.method, deploymentsPath+"/web", x.kind, x.body)
		if w.Code != 200 || w.Header().Get(api.HeaderResult) != "unchanged" {
			t.Errorf("%s %s: %d %s %s", x.method, x.body, w.Code, w.Header().Get(api.HeaderResult), w.Body)
		}
	}
	if got := fmt.Sprint(managers(t, c.get(deploymentsPath+"/web"))); got != "[shoal of root Apply true]" {
		t.Errorf("now %s", got)
	}
}

// BenchmarkList is what reading 1,000 objects costs, whole and as a table.
func BenchmarkList(b *testing.B) {
	server := api.New(apitest.New("p1"), api.Info{Self: apitest.ID("p1")})
	for i := range 1000 {
		text := strings.NewReplacer("name: web}", fmt.Sprintf("name: web%d}", i), "replicas: 3", "replicas: 0").Replace(webManifest)
		w := httptest.NewRecorder()
		if server.ServeHTTP(w, httptest.NewRequest("POST", deploymentsPath+"?fieldManager=bench", strings.NewReader(text))); w.Code != 201 {
			b.Fatal(w.Code, w.Body)
		}
	}
	for name, accept := range map[string]string{"whole": "", "table": "application/json;as=Table;v=v1;g=meta.k8s.io"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest("GET", deploymentsPath, nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				if server.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Code)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

// TestAPatchOwnsNothingElse checks that who changes the env does not come to own a port of which the manifest leaves the protocol out:
// else leaving the port out of the manifest would not remove it.
func TestAPatchOwnsNothingElse(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	withPort := strings.Replace(webManifest, "        env: ", "        ports: [{containerPort: 80, name: http}]\n        env: ", 1)
	c.apply(withPort)
	c.must(200, "PATCH", deploymentsPath+"/web?fieldManager=shoal-set", "application/strategic-merge-patch+json",
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"COLOR","value":"red"}]}]}}}}`)
	if changes := history(c)[0].Changes; len(changes) != 2 {
		t.Errorf("it changed %+v", changes)
	}
	c.apply(webManifest)
	if ports := dig(t, c.get(deploymentsPath+"/web"), "spec.template.spec.containers.0.ports"); ports != nil {
		t.Errorf("the port was left out, and still there is %v", ports)
	}
}
