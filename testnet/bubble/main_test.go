package bubble

import (
	"os"
	"testing"

	"shoal/gossip/gossiptest"
)

func TestMain(m *testing.M) {
	gossiptest.Serial()
	os.Exit(m.Run())
}
