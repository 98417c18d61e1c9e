package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// grid is rows of cells with a line of headings.
type grid struct {
	headings []string
	rows     [][]string
}

func (g *grid) add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		if cell != nil {
			row[i] = strings.ReplaceAll(fmt.Sprint(cell), "\n", " ")
		}
	}
	g.rows = append(g.rows, row)
}

// widths are the widest cells of each column.
func (g *grid) widths() []int {
	widths := make([]int, len(g.headings))
	for _, row := range append([][]string{g.headings}, g.rows...) {
		for i, cell := range row {
			if i < len(widths) {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	return widths
}

// print writes the grid aligned, columns three spaces apart, without spaces at the ends of lines.
func (g *grid) print(w io.Writer, headings bool) error {
	widths, rows := g.widths(), g.rows
	if headings {
		rows = append([][]string{g.headings}, rows...)
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i+1 < len(row) {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+3))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mib is an amount of memory as people read it.
func mib(bytes int64) string {
	if bytes >= 10<<30 {
		return fmt.Sprintf("%.1fGi", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%dMi", bytes>>20)
}
