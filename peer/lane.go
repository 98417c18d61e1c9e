package peer

import "shoal/peer/replication"

// laneOf says on which lane a message belongs.
func laneOf(message replication.Message) Lane {
	if message.Lane() == replication.Observation {
		return Observation
	}
	return Intent
}

// asks says whether a live peer has to answer a message, and answers whether a message shows that a peer does so.
func asks(message replication.Message) bool    { return message.Digest != nil }
func answers(message replication.Message) bool { return laneOf(message) == Intent }
