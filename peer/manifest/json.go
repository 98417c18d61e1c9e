package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// readJSON reads one JSON document. encoding/json's tokens are read rather than its values,
// because they come with their place, keep duplicate keys, and need no recursion of unknown depth.
func readJSON(data []byte) (*node, *Fault) {
	r := jsonReader{decoder: json.NewDecoder(bytes.NewReader(data)), data: data}
	r.decoder.UseNumber()
	n, err := r.value(0)
	if err == nil {
		if _, more := r.decoder.Token(); more != io.EOF {
			err = errors.New("there is more after the end of the document")
		}
	}
	if err != nil {
		line, column := r.place(r.decoder.InputOffset())
		return nil, &Fault{Line: line, Column: column, Text: err.Error()}
	}
	return n, nil
}

type jsonReader struct {
	decoder *json.Decoder
	data    []byte
	lines   []int // offsets at which lines begin; nil until asked for
	count   int
}

func (r *jsonReader) value(depth int) (*node, error) {
	if r.count++; depth > maxDepth || r.count > maxValues {
		return nil, fmt.Errorf("more than %d levels deep, or more than %d values", maxDepth, maxValues)
	}
	start := r.next()
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &node{size: 1}
	n.line, n.column = r.place(start)
	switch token {
	case json.Delim('{'):
		n.kind = mapping
		return n, r.entries(n, depth)
	case json.Delim('['):
		n.kind = list
		return n, r.items(n, depth)
	}
	n.value = token
	return n, nil
}

func (r *jsonReader) entries(n *node, depth int) error {
	for r.decoder.More() {
		start := r.next()
		key, err := r.decoder.Token()
		if err != nil {
			return err
		}
		below, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		e := entry{key: key.(string), node: below}
		e.line, e.column = r.place(start)
		n.entries, n.size = append(n.entries, e), n.size+below.size
	}
	_, err := r.decoder.Token()
	return err
}

func (r *jsonReader) items(n *node, depth int) error {
	for r.decoder.More() {
		below, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items, n.size = append(n.items, below), n.size+below.size
	}
	_, err := r.decoder.Token()
	return err
}

// next is the offset at which the next token begins.
func (r *jsonReader) next() int64 {
	offset := r.decoder.InputOffset()
	for offset < int64(len(r.data)) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[offset]) >= 0 {
		offset++
	}
	return offset
}

// place turns an offset into line and column, both from 1.
func (r *jsonReader) place(offset int64) (line, column int) {
	if r.lines == nil {
		r.lines = []int{0}
		for i, c := range r.data {
			if c == '\n' {
				r.lines = append(r.lines, i+1)
			}
		}
	}
	line = sort.SearchInts(r.lines, int(offset)+1)
	return line, int(offset) - r.lines[line-1] + 1
}
