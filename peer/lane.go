package peer

import "shoal/peer/replication"

// laneOf says on which lane a message belongs.
func laneOf(message replication.Message) Lane {
	if message.Lane() == replication.Observation {
		return Observation
	}
	return Intent
}

// asks says whether a live peer has to answer a message.
func asks(message replication.Message) bool { return message.Digest != nil && !message.Digest.Answer }

// answers says whether a message shows that a peer takes in what it is asked: what a peer says by itself shows nothing.
func answers(message replication.Message) bool {
	return message.Lane() == replication.Intent && message.Push == nil && !asks(message)
}
