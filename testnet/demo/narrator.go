package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// width is the column at which the times stand.
const width = 92

// narrator tells the story to a person.
type narrator struct {
	out   io.Writer
	step  int
	color bool
}

func newNarrator(out *os.File) *narrator {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &narrator{out: out, color: err == nil && os.Getenv("NO_COLOR") == ""}
}

func (n *narrator) paint(code, text string) string {
	if !n.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// say prints a line of its own.
func (n *narrator) say(format string, values ...any) {
	fmt.Fprintf(n.out, format+"\n", values...)
}

// begin starts a step of the story with a sentence of what is going to happen.
func (n *narrator) begin(sentence string) {
	n.step++
	n.say("\n%s", n.paint("1", fmt.Sprintf("%2d. %s", n.step, sentence)))
}

// command shows what to type to have the same happen by hand.
func (n *narrator) command(line string) { n.say("    %s", n.paint("36", "$ "+line)) }

// did prints a claim that was checked, and how long it took.
func (n *narrator) did(took time.Duration, format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	gap := strings.Repeat(" ", max(1, width-6-len([]rune(text))))
	n.say("    %s %s%s%8s", n.paint("32", "✓"), text, gap, seconds(took))
}

// holds prints a claim that was checked and has no duration.
func (n *narrator) holds(format string, values ...any) {
	n.say("    %s %s", n.paint("32", "✓"), fmt.Sprintf(format, values...))
}

// note prints a detail.
func (n *narrator) note(format string, values ...any) {
	n.say("      %s", n.paint("2", fmt.Sprintf(format, values...)))
}

// failed prints what did not hold.
func (n *narrator) failed(err error) {
	n.say("    %s %s", n.paint("31", "✗"), strings.ReplaceAll(err.Error(), "\n", "\n      "))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
