package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What one YAML document may hold at most. The parser's time grows with the square of these, to a
// second or so at the limits. JSON is read without it.
const (
	maxKeys  = 10_000
	maxMarks = 50_000 // quotes and commas
	maxLines = 100_000

	maxDocuments = 1000 // in one text
)

// readYAML reads all documents of a YAML text. The parser is not ours and the text is anyone's, so size
// and depth are bounded before it runs, and a panic of it is a fault of the text.
func readYAML(data []byte) (documents []*node, faults Faults) {
	line := 0
	chunks := splitDocuments(data)
	if len(chunks) > maxDocuments {
		return nil, Faults{{Text: fmt.Sprintf("more than %d documents", maxDocuments)}}
	}
	for _, chunk := range chunks {
		nodes, wrong := readYAMLDocument(chunk, line)
		documents, faults = append(documents, nodes...), append(faults, wrong...)
		if len(faults) > maxFaults {
			break
		}
		line += bytes.Count(chunk, []byte{'\n'})
	}
	return documents, faults
}

var documentMark = regexp.MustCompile(`(?m)^---(?:[ \t\r]|$)`)

// splitDocuments cuts before every "---" at the beginning of a line, which YAML allows nowhere inside of a document.
func splitDocuments(data []byte) [][]byte {
	var chunks [][]byte
	start := 0
	for _, at := range documentMark.FindAllIndex(data, -1) {
		if before := data[start:at[0]]; at[0] > start && !onlyDirectives(before) {
			chunks, start = append(chunks, before), at[0]
		}
	}
	return append(chunks, data[start:])
}

// onlyDirectives says whether text holds nothing but directives, comments and space: then it belongs to the document after it.
func onlyDirectives(text []byte) bool {
	directives := false
	for _, line := range bytes.Split(text, []byte{'\n'}) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] == '%' {
			directives = true
		} else if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return directives
}

// readYAMLDocument reads one document that begins after that many lines.
func readYAMLDocument(data []byte, before int) (documents []*node, faults Faults) {
	defer func() {
		if reason := recover(); reason != nil {
			documents, faults = nil, Faults{{Line: before + 1, Column: 1, Text: "this is not YAML that can be read"}}
		}
	}()
	if fault := tooMuch(data, before); fault != nil {
		return nil, Faults{*fault}
	}
	file, err := parser.Parse(lexer.Tokenize(string(data)), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Faults{syntaxFault(err, before)}
	}
	for _, document := range file.Docs {
		b := builder{anchors: map[string]*node{}, before: before}
		if document.Body == nil || document.Body.Type() == ast.CommentType || document.Body.Type() == ast.DirectiveType {
			continue
		}
		n := b.build(document.Body, 0)
		faults = append(faults, b.faults...)
		if !n.null() {
			documents = append(documents, n)
		}
	}
	return documents, faults
}

func syntaxFault(err error, before int) Fault {
	fault := Fault{Line: before + 1, Column: 1, Text: "not YAML: " + clip(strings.SplitN(err.Error(), "\n", 2)[0])}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
		fault.Text = "not YAML: " + clip(syntax.Message)
		fault.Line, fault.Column = before+syntax.Token.Position.Line, syntax.Token.Position.Column
	}
	return fault
}

// tooMuch finds text that would take the parser's stack or time: brackets that stay open, many nesting marks on
// one line, and more keys, quotes or lines than a manifest has. It overestimates, as it does not know quotes; real
// manifests stay far below.
func tooMuch(data []byte, before int) *Fault {
	const most = 4 * maxDepth
	open, nested, line, keys, marks := 0, 0, before+1, 0, 0
	for i, c := range data {
		spaced := i+1 == len(data) || bytes.IndexByte([]byte(" \t\r\n"), data[i+1]) >= 0
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		case '!', '&':
			nested++
		case '-', '?', ':':
			if spaced {
				nested++
			}
			if spaced && c == ':' {
				keys++
			}
		case '"', ',', '\'':
			nested = 0
			marks++
		case '\n':
			nested, line = 0, line+1
		}
		if open > most || nested > most {
			return &Fault{Line: line, Column: 1, Text: fmt.Sprintf("nested more than %d levels deep", maxDepth)}
		}
		if keys > maxKeys || marks > maxMarks || line-before > maxLines {
			return &Fault{Line: line, Column: 1, Text: fmt.Sprintf(
				"too large for one YAML document (at most %d keys and %d lines): split it, or give it as JSON", maxKeys, maxLines)}
		}
	}
	return nil
}

// builder turns the parser's tree into nodes.
type builder struct {
	anchors map[string]*node
	before  int // lines
	count   int
	full    bool
	faults  Faults
}

func (b *builder) fault(at *token.Token, format string, args ...any) *node {
	fault := Fault{Text: fmt.Sprintf(format, args...)}
	n := &node{size: 1}
	if at != nil && at.Position != nil {
		fault.Line, fault.Column = b.before+at.Position.Line, at.Position.Column
	}
	n.line, n.column = fault.Line, fault.Column
	b.faults = append(b.faults, fault)
	return n
}

// grow counts values; false once there are too many, which is said once.
func (b *builder) grow(by int, at *token.Token) bool {
	b.count += by
	if b.count > maxValues && !b.full {
		b.full = true
		b.fault(at, "more than %d values, counting each use of an alias", maxValues)
	}
	return !b.full
}

func (b *builder) build(from ast.Node, depth int) *node {
	if from == nil {
		return &node{size: 1}
	}
	at := from.GetToken()
	if depth > maxDepth {
		return b.fault(at, "nested more than %d levels deep", maxDepth)
	}
	if !b.grow(1, at) {
		return &node{size: 1}
	}
	n := &node{size: 1}
	if at != nil && at.Position != nil {
		n.line, n.column = b.before+at.Position.Line, at.Position.Column
	}
	switch from := from.(type) {
	case *ast.MappingNode:
		n.kind = mapping
		for _, value := range from.Values {
			b.entry(n, value, depth)
		}
		n.settle()
	case *ast.MappingValueNode:
		n.kind = mapping
		b.entry(n, from, depth)
		n.settle()
	case *ast.SequenceNode:
		n.kind = list
		for _, value := range from.Values {
			below := b.build(value, depth+1)
			n.items, n.size = append(n.items, below), n.size+below.size
		}
	case *ast.AnchorNode:
		n = b.build(from.Value, depth+1)
		b.anchors[from.Name.GetToken().Value] = n
	case *ast.AliasNode:
		return b.alias(from)
	case *ast.TagNode:
		return b.tag(from, depth)
	default:
		b.scalar(n, from)
	}
	return n
}

func (b *builder) scalar(n *node, from ast.Node) {
	switch from := from.(type) {
	case *ast.StringNode:
		n.value = from.Value
	case *ast.LiteralNode:
		n.value = from.Value.Value
	case *ast.IntegerNode:
		n.value = json.Number(fmt.Sprint(from.Value))
	case *ast.FloatNode:
		n.value = number(from.Value)
	case *ast.BoolNode:
		n.value = from.Value
	case *ast.NullNode:
	default:
		b.fault(from.GetToken(), "%s cannot stand here", clip(from.String()))
	}
}

func number(value float64) any {
	if math.IsInf(value, 0) || math.IsNaN(value) {
		return strconv.FormatFloat(value, 'g', -1, 64)
	}
	return json.Number(strings.Replace(strconv.FormatFloat(value, 'g', -1, 64), "e+", "e", 1))
}

func (b *builder) alias(from *ast.AliasNode) *node {
	name := from.Value.GetToken().Value
	target := b.anchors[name]
	if target == nil {
		return b.fault(from.GetToken(), "no anchor %q stands before this alias", clip(name))
	}
	b.grow(target.size, from.GetToken())
	return target
}

// tag honours !!str, the one tag that people need, and refuses those that would change a value otherwise.
func (b *builder) tag(from *ast.TagNode, depth int) *node {
	n := b.build(from.Value, depth+1)
	switch from.Start.Value {
	case "!!str":
		if n.kind == scalar && from.Value != nil {
			n.value = from.Value.GetToken().Value
		}
	case "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
	default:
		b.fault(from.GetToken(), "tag %s is not supported", clip(from.Start.Value))
	}
	return n
}

func (b *builder) entry(n *node, from *ast.MappingValueNode, depth int) {
	key := from.Key.GetToken()
	if _, merge := from.Key.(*ast.MergeKeyNode); merge {
		b.merge(n, from, depth)
		return
	}
	if _, complex := from.Key.(*ast.MappingKeyNode); complex || key == nil || key.Position == nil {
		b.fault(key, "a key must be plain text")
		return
	}
	below := b.build(from.Value, depth+1)
	n.entries = append(n.entries, entry{key: key.Value, line: b.before + key.Position.Line, column: key.Position.Column, node: below})
	n.size += below.size
	if len(n.entries) == 1 {
		n.line, n.column = b.before+key.Position.Line, key.Position.Column
	}
}

// merge takes in the entries of "<<" that the mapping itself has not.
func (b *builder) merge(n *node, from *ast.MappingValueNode, depth int) {
	below := b.build(from.Value, depth+1)
	if below.kind != mapping {
		b.fault(from.Key.GetToken(), "<< needs an alias of a map")
		return
	}
	b.grow(below.size, from.Key.GetToken())
	for _, e := range below.entries {
		e.merged = true
		n.entries = append(n.entries, e)
	}
	n.size += below.size
}

// settle drops entries that came by "<<" and that the mapping has itself.
func (n *node) settle() {
	own := map[string]bool{}
	for _, e := range n.entries {
		own[e.key] = own[e.key] || !e.merged
	}
	kept := n.entries[:0:0]
	for _, e := range n.entries {
		if !e.merged || !own[e.key] {
			own[e.key] = true
			kept = append(kept, e)
		}
	}
	n.entries = kept
}
