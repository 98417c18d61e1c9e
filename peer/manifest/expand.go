package manifest

import (
	"strings"

	"shoal/runtime"
)

// expand replaces $(NAME) in a container's command, arguments and variables by the value of the variable NAME
// of the same container, as Kubernetes does. $$ stands for $; a name that is not known, or that leads back to
// itself, stays as it is written. Unlike in Kubernetes the order of the variables means nothing.
func expand(c *runtime.Container) {
	values := make(map[string]string, len(c.Env))
	for _, e := range c.Env {
		values[e.Name] = e.Value
	}
	resolved := make([]string, len(c.Env))
	for i, e := range c.Env {
		resolved[i] = expandText(e.Value, values, map[string]bool{e.Name: true})
	}
	for i := range c.Env {
		c.Env[i].Value = resolved[i]
		values[c.Env[i].Name] = strings.ReplaceAll(resolved[i], "$", "$$") // final: not expanded again
	}
	c.Command, c.Args = expandAll(c.Command, values), expandAll(c.Args, values)
}

func expandAll(texts []string, values map[string]string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, expandText(text, values, map[string]bool{}))
	}
	return out
}

// maxExpanded bounds what a text grows to, as variables may name each other many times over.
const maxExpanded = 128 << 10

func expandText(text string, values map[string]string, open map[string]bool) string {
	var b strings.Builder
	for len(text) > 0 && b.Len() < maxExpanded {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			break
		}
		b.WriteString(text[:i])
		text = text[i:]
		switch end := strings.IndexByte(text, ')'); {
		case text[1] == '$':
			b.WriteByte('$')
			text = text[2:]
		case text[1] == '(' && end > 0:
			b.WriteString(expandName(text[2:end], values, open))
			text = text[end+1:]
		default:
			b.WriteByte('$')
			text = text[1:]
		}
	}
	b.WriteString(text)
	return b.String()
}

func expandName(name string, values map[string]string, open map[string]bool) string {
	value, known := values[name]
	const maxChain = 16
	if !known || open[name] || len(open) >= maxChain {
		return "$(" + name + ")"
	}
	open[name] = true
	defer delete(open, name)
	return expandText(value, values, open)
}
