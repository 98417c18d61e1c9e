//go:build faults

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A program built with -tags faults panics where it meets what SHOAL_FAULT names, SITE:NAME[,SITE:NAME…], as if there were
// a fault of the code that this value brings out. The sites are those of control.Config.Trip.
func init() {
	var planted []string
	if text := os.Getenv("SHOAL_FAULT"); text != "" {
		planted = strings.Split(text, ",")
	}
	trip = func(site, name string) {
		if slices.Contains(planted, site+":"+name) {
			panic(fmt.Sprintf("planted fault: %s of %s", site, name))
		}
	}
}
