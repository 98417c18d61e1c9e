//go:build faults

package main

import (
	"fmt"
	"os"
	"strings"
)

// A program built with -tags faults panics where it meets what SHOAL_FAULT names, SITE:NAME[,SITE:NAME…], as if there were
// a fault of the code that this value brings out. The sites are those of control.Config.Trip; a name is met where it is part of
// what is handled, so that one names an object, its replicas and their instances.
func init() {
	var planted []string
	if text := os.Getenv("SHOAL_FAULT"); text != "" {
		planted = strings.Split(text, ",")
	}
	trip = func(site, name string) {
		for _, fault := range planted {
			if at, value, _ := strings.Cut(fault, ":"); at == site && strings.Contains(name, value) {
				panic(fmt.Sprintf("planted fault: %s of %s", site, name))
			}
		}
	}
}
