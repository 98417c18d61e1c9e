package bubble

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"shoal/peer/api"
	"shoal/testnet/promise"
)

const deployments = "/apis/apps/v1/namespaces/default/deployments/"

// Apply gives a Deployment's manifest to a peer, as `shoal apply` does.
func (p *Peer) Apply(name, yaml string) {
	p.world.t.Helper()
	p.world.course.tell(func(time.Duration) []promise.Violation {
		p.world.course.exclusive["default/"+name] = strings.Contains(yaml, "shoal/exclusive")
		return nil
	})
	p.call("PATCH", deployments+name+"?fieldManager=shoal", "application/apply-patch+yaml", yaml)
}

// Scale sets how many replicas a Deployment has.
func (p *Peer) Scale(name string, replicas int) {
	p.world.t.Helper()
	p.call("PATCH", deployments+name+"/scale", "application/merge-patch+json", fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// Delete deletes a Deployment.
func (p *Peer) Delete(name string) {
	p.world.t.Helper()
	p.call("DELETE", deployments+name, "", "")
}

// Get returns a Deployment as JSON, and whether the peer has it.
func (p *Peer) Get(name string) (string, bool) {
	answer := p.serve("GET", deployments+name, "", "")
	return answer.Body.String(), answer.Code == http.StatusOK
}

func (p *Peer) call(method, path, contentType, body string) {
	p.world.t.Helper()
	if answer := p.serve(method, path, contentType, body); answer.Code >= 300 {
		p.world.t.Fatalf("%s: %s %s: %d %s", p.Name, method, path, answer.Code, answer.Body)
	}
}

func (p *Peer) serve(method, path, contentType, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	answer := httptest.NewRecorder()
	api.New(p.program, api.Info{Version: "bubble", Self: p.program.ID()}).ServeHTTP(answer, request)
	return answer
}
