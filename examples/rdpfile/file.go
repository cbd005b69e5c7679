package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachback/reachback/feed"
)

// read reads an .rdp file, and of a larger one no more than shows that it is.
func read(path string) (*feed.RDPFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, feed.MaxRDPFile+1))
	if err != nil {
		return nil, reason(err)
	}
	return feed.ParseRDP(data)
}

// replace writes a file that is there as before or as a whole. One that was there
// keeps its mode, and a link to it leads to the new one.
func replace(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", path)
		}
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// reason leaves the name of the file out of an error, since that is told beside it.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// scopeOf returns the settings that the file's signature, right or wrong, says it
// covers.
func scopeOf(f *feed.RDPFile) []string {
	scope, ok := f.Get("signscope")
	if !ok {
		return nil
	}
	return strings.Split(strings.ToLower(scope.Value), ",")
}
