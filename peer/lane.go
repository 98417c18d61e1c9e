package peer

import "shoal/peer/replication"

// laneOf says on which lane a message belongs.
func laneOf(message replication.Message) Lane {
	switch {
	case message.Push != nil && len(message.Push.Ops) == 0 && len(message.Push.Rows) > 0,
		message.Objects != nil && len(message.Objects.Objects) == 0 && len(message.Objects.Rows) > 0,
		message.Want != nil && len(message.Want.Keys) == 0 && len(message.Want.Rows) > 0:
		return Observation
	}
	return Intent
}
