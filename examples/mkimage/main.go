// Mkimage puts one static program into an OCI image, as a tar that `shoal image import` reads:
//
//	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o web ./examples/web
//	go run ./examples/mkimage -o web.tar shoal.example/web:1 web
//
// The same program gives the same bytes. Arguments after the program become the image's command.
package main

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"shoal/runtime/image"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0 when the image was written, 1 when that failed, 2 when it was called wrongly.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	flags.SetOutput(stderr)
	output := flags.String("o", "", "write the image to this `FILE` (standard output when empty)")
	user := flags.String("user", "", "run the program as `UID:GID` (root when empty)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: mkimage [-o FILE] [-user UID:GID] REFERENCE PROGRAM [ARG…]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() < 2 {
		flags.Usage()
		return 2
	}
	program := image.Program{
		Reference: flags.Arg(0), Path: "/" + filepath.Base(flags.Arg(1)), Args: flags.Args()[2:], User: *user,
	}
	if err := write(*output, flags.Arg(1), program, stdout); err != nil {
		fmt.Fprintln(stderr, "mkimage:", err)
		return 1
	}
	return 0
}

func write(output, binary string, program image.Program, stdout io.Writer) (err error) {
	if err := checkStatic(binary); err != nil {
		return err
	}
	if program.Binary, err = os.ReadFile(binary); err != nil {
		return err
	}
	if output == "" {
		return image.Build(stdout, program)
	}
	file, err := os.CreateTemp(filepath.Dir(output), ".mkimage-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(image.Build(file, program), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), output)
}

// checkStatic refuses a program that needs a dynamic linker: the image will not have one.
func checkStatic(binary string) error {
	file, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("%s is no Linux program: %w", binary, err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}
