package gossiptest

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Serial()
	os.Exit(m.Run())
}
