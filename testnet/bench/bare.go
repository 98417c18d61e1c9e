package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"syscall"
)

// bare is the least that a signed write on disk can be: a signature and one write of a sector, synced, to a file that has
// its size already, on the disk of the testnets.
type bare struct {
	key    ed25519.PrivateKey
	file   *os.File
	sector [512]byte
	next   int64
}

// bareWrites is for how many writes the file has room.
const bareWrites = 1 << 14

func (l *lab) startBare() (*bare, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(l.dir, "bare"))
	if err != nil {
		return nil, err
	}
	b := &bare{key: key, file: file}
	if _, err := file.Write(make([]byte, bareWrites*len(b.sector))); err != nil {
		return nil, err
	}
	return b, file.Sync()
}

func (b *bare) write() error {
	copy(b.sector[:], ed25519.Sign(b.key, b.sector[:]))
	if _, err := b.file.WriteAt(b.sector[:], b.next%bareWrites*int64(len(b.sector))); err != nil {
		return err
	}
	b.next++
	return syscall.Fdatasync(int(b.file.Fd()))
}

func (b *bare) stop() error { return b.file.Close() }
