package manifest

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// YAML writes a tree as YAML, keys sorted: a form that Decode reads as the same tree. Text stands in
// quotes unless nobody could take it for anything else.
func YAML(tree any) []byte {
	var b bytes.Buffer
	writeYAML(&b, tree, 0, "")
	return b.Bytes()
}

// writeYAML writes a value at a depth of indentation; lead stands between what is on the line and a scalar.
func writeYAML(b *bytes.Buffer, tree any, depth int, lead string) {
	indent := strings.Repeat("  ", depth)
	switch value := tree.(type) {
	case map[string]any:
		if len(value) == 0 {
			b.WriteString(strings.Trim(lead, "-") + "{}\n")
			return
		}
		for i, name := range sortedKeys(value) {
			switch {
			case i == 0 && lead == " ":
				b.WriteString("\n" + indent)
			case i > 0 || lead == "":
				b.WriteString(indent)
			}
			b.WriteString(yamlText(name) + ":")
			writeYAML(b, value[name], depth+1, " ")
		}
	case []any:
		if len(value) == 0 {
			b.WriteString(strings.Trim(lead, "-") + "[]\n")
			return
		}
		if lead == " " {
			b.WriteByte('\n')
		}
		inner := strings.Repeat("  ", max(0, depth-1))
		for _, item := range value {
			b.WriteString(inner + "-")
			if list, nested := item.([]any); nested && len(list) > 0 {
				writeYAML(b, item, depth+1, " ")
				continue
			}
			b.WriteByte(' ')
			writeYAML(b, item, max(1, depth), "-")
		}
	case string:
		b.WriteString(strings.Trim(lead, "-") + yamlText(value) + "\n")
	case nil:
		b.WriteString(strings.Trim(lead, "-") + "null\n")
	default:
		fmt.Fprintf(b, "%s%s\n", strings.Trim(lead, "-"), encode(value))
	}
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./@%+-]*(:[A-Za-z0-9_./@%+-]+)*$`)
	otherYAML = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n|[-+.]*(inf|nan)|[-+.0-9][-+.0-9e_]*|\.+)$`)
)

func yamlText(text string) string {
	if plainText.MatchString(text) && !otherYAML.MatchString(text) {
		return text
	}
	return string(encode(text))
}
