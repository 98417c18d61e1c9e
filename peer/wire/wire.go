package wire

// Op, Row, Message, Certificate, Observation, JoinRequest, JoinReply: own nouns of this package, see codec.go.
