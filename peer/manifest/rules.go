package manifest

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule looks at one decoded value and says what is wrong with it; empty when nothing is.
type rule func(v reflect.Value) string

// ruleOf reads one rule of a tag. A rule that does not exist is a mistake in kinds.go.
func ruleOf(text string) rule {
	name, argument, _ := strings.Cut(text, "=")
	switch name {
	case "min", "max":
		bound, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			panic("manifest: rule " + text)
		}
		return func(v reflect.Value) string { return bounded(name, v.Int(), bound) }
	case "oneof":
		return func(v reflect.Value) string { return oneOf(v.String(), strings.Split(argument, "|")) }
	case "labels":
		return func(v reflect.Value) string { return eachPair(v, labelValue) }
	case "annotations":
		return func(v reflect.Value) string { return eachPair(v, func(string) string { return "" }) }
	case "capability":
		return func(v reflect.Value) string { return eachString(v, capability) }
	}
	check, ok := map[string]func(string) string{
		"address": address, "labelkey": keyOfLabel, "labelvalue": labelValue, "label": dnsLabel, "env": envName, "absolute": absolute, "image": imageName, "portname": portName,
	}[name]
	if !ok {
		panic("manifest: no rule " + text)
	}
	return func(v reflect.Value) string { return check(v.String()) }
}

func bounded(name string, value, bound int64) string {
	if name == "min" && value < bound {
		return fmt.Sprintf("must be at least %d, not %d", bound, value)
	}
	if name == "max" && value > bound {
		return fmt.Sprintf("must be at most %d, not %d", bound, value)
	}
	return ""
}

func oneOf(value string, allowed []string) string {
	if value == "" || slices.Contains(allowed, value) { // whether it may be empty is for "required"
		return ""
	}
	if len(allowed) == 1 {
		return fmt.Sprintf("%q is not supported yet: only %s is", clip(value), allowed[0])
	}
	text := fmt.Sprintf("must be one of %s, not %q", strings.Join(allowed, ", "), clip(value))
	if meant := nearest(value, allowed); meant != "" {
		text += fmt.Sprintf(": did you mean %q?", meant)
	}
	return text
}

func eachString(v reflect.Value, check func(string) string) string {
	for i := range v.Len() {
		if fault := check(v.Index(i).String()); fault != "" {
			return fault
		}
	}
	return ""
}

func eachPair(v reflect.Value, check func(string) string) string {
	pairs := v.Interface().(map[string]string)
	for _, key := range sortedKeys(pairs) {
		if fault := keyOfLabel(key); fault != "" {
			return fault
		}
		if fault := check(pairs[key]); fault != "" {
			return fmt.Sprintf("%s: %s", key, fault)
		}
	}
	return ""
}

var (
	portText   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$`)
	capText    = regexp.MustCompile(`^[A-Z][A-Z_]{1,40}$`)
	imageText  = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._/:@+]{0,511}$`)
	oneOfAlpha = regexp.MustCompile(`[a-z]`)
)

// The names that nearly every object has several of are checked by hand, which takes a tenth of what expressions take:
//
//	isLabel   [a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?
//	isName    [A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?
//	labelKey  ([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?NAME

func isLabel(text string) bool { return made(text, 63, lowerOrDigit, "-") }
func isName(text string) bool  { return made(text, 63, letterOrDigit, "-_.") }

func labelKey(text string) bool {
	if domain, name, both := strings.Cut(text, "/"); both {
		return made(domain, 253, lowerOrDigit, "-.") && isName(name)
	}
	return isName(text)
}

// made says whether a text of at most so many bytes begins and ends with one that is plain, and has only such and the others
// between.
func made(text string, most int, plain func(byte) bool, others string) bool {
	if text == "" || len(text) > most || !plain(text[0]) || !plain(text[len(text)-1]) {
		return false
	}
	for i := range len(text) {
		if !plain(text[i]) && strings.IndexByte(others, text[i]) < 0 {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool  { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
func letterOrDigit(c byte) bool { return lowerOrDigit(c) || 'A' <= c && c <= 'Z' }

func dnsLabel(text string) string {
	if text == "" || isLabel(text) {
		return ""
	}
	return fmt.Sprintf("%q is not a DNS label: at most 63 lower-case letters, digits and '-', with a letter or digit at both ends", clip(text))
}

func keyOfLabel(text string) string {
	if text == "" || labelKey(text) {
		return ""
	}
	return fmt.Sprintf("%q is not a valid key: letters, digits, '-', '_' and '.', with an optional domain and '/' before", clip(text))
}

// extended says whether a resource's name is one of those that only the configuration of peers gives a meaning to.
func extended(name string) bool {
	domain, _, both := strings.Cut(name, "/")
	return both && labelKey(name) && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

// LabelFault says what is wrong with a label; empty when nothing is.
func LabelFault(key, value string) string {
	if key == "" {
		return "a key is missing"
	}
	if text := keyOfLabel(key); text != "" {
		return text
	}
	if text := labelValue(value); text != "" {
		return key + ": " + text
	}
	return ""
}

// IsDevice says whether containers may ask for a resource of that name of which only the configuration of a peer knows
// what it is.
func IsDevice(name string) bool { return extended(name) }

func address(text string) string {
	if text == "" {
		return ""
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return fmt.Sprintf("%q is not an IP address", clip(text))
	}
	return ""
}

func labelValue(text string) string {
	if text == "" || isName(text) {
		return ""
	}
	return fmt.Sprintf("%q is not a label's value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends", clip(text))
}

func envName(text string) string {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '=' {
			return fmt.Sprintf("%q cannot be a variable's name: printable characters without spaces and '='", clip(text))
		}
	}
	return ""
}

func absolute(text string) string {
	if text == "" || strings.HasPrefix(text, "/") {
		return ""
	}
	return fmt.Sprintf("%q must begin with /", clip(text))
}

func imageName(text string) string {
	if imageText.MatchString(text) {
		return ""
	}
	return fmt.Sprintf(`%q is not an image's name: write it like "nginx", "registry.example/web:1.2" or with "@sha256:…"`, clip(text))
}

func portName(text string) string {
	if text == "" || portText.MatchString(text) && oneOfAlpha.MatchString(text) {
		return ""
	}
	return fmt.Sprintf("%q is not a port's name: at most 15 lower-case letters, digits and '-', at least one letter", clip(text))
}

func capability(text string) string {
	if capText.MatchString(text) && !strings.HasPrefix(text, "CAP_") {
		return ""
	}
	return fmt.Sprintf(`%q is not a capability: write it like "NET_BIND_SERVICE", without CAP_`, clip(text))
}
