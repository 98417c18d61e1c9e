// Package api is the one API of a peer: REST in Kubernetes' shape over what this peer knows, so that
// kubectl works against any peer, and a group of our own for what Kubernetes has no word for.
//
//	unix socket ──▶ Server ─┬─ /api/v1, /apis/apps/v1     Deployment, Namespace: written and read
//	                        │                             Pod, Node, Event: read; deleting a Pod replaces its replica
//	                        └─ /apis/shoal/v1             members, why, view, conflicts, events, replicas,
//	                                                      images, tickets, leave, exec
//	stream of a peer ──▶ Remote ── /apis/shoal/v1/instances: output and commands of one instance here
//
// Every answer is this peer's view, and says so: X-Shoal-Peer names the peer, X-Shoal-Members how many of those it
// knows are alive, and X-Shoal-View-Age how old the oldest news from a living one is.
//
// resourceVersion is this peer's own counter. An object's is the version at which this server first saw its
// present content. A number that this peer has not given out, because it is from another peer or from an earlier life of
// this one, is answered with 410 Gone, and so is a watch from before a deletion: its client lists again.
//
// Invariants:
//
//   - A change is computed from one reading of an object and carries what that reading had seen; when
//     the object has changed meanwhile it is computed anew. PUT alone asks the client to do that (409).
//   - A change of which any part is invalid is refused whole, with all its faults (422).
//   - Nothing here decides where or whether anything runs.
//   - Bodies are at most 4 MiB, imports of images excepted; at most 256 watches are open at a time, and
//     one that cannot be written to for a minute ends.
//
// The shape of requests and answers follows the Kubernetes API conventions
// (github.com/kubernetes/community, sig-architecture/api-conventions.md).
package api
