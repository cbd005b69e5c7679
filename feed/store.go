package feed

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/durable"
)

const (
	stateFile    = "workspace.json"
	lockFile     = ".workspace.lock"
	newPrefix    = ".workspace-new-" // files not yet in their place
	maxState     = 4 << 20
	lockRetry    = 50 * time.Millisecond
	stateVersion = 1
)

// A workspaceState is what the folder has, as its state file says. With an ETag
// it is the whole of the document that has it.
type workspaceState struct {
	Version   int             `json:"version"`
	Feed      string          `json:"feed"`
	ETag      string          `json:"etag,omitempty"`
	Resources []resourceState `json:"resources"`
}

// A resourceState is one resource of it. Without Stored its file may be there or
// not: a refresh was cut short.
type resourceState struct {
	ID     string         `json:"id"`
	Title  string         `json:"title"`
	Kind   reachback.Kind `json:"kind"`
	ETag   string         `json:"etag,omitempty"`
	Stored bool           `json:"stored,omitempty"`
}

// A store is the folder of a client. Every file in it is replaced as a whole, so
// that readers, and what a crash leaves, see the old one or the new one.
type store struct {
	dir   string
	root  *os.Root // no name leads out of it
	lock  *durable.Lock
	state workspaceState

	verify func(*RDPFile) (*Signature, error) // nil: signatures are not looked at
	strict bool                               // without a good one a file is not there
}

// openStore makes the folder if need be and waits until no other refresh of it
// runs, in this process or another.
func openStore(ctx context.Context, dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	st, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	if st.lock, err = waitLock(ctx, filepath.Join(dir, lockFile)); err != nil {
		st.close()
		return nil, err
	}
	// What a crash left behind, now that nobody can be writing it.
	if names, err := fs.Glob(st.root.FS(), newPrefix+"*"); err == nil {
		for _, name := range names {
			st.root.Remove(name)
		}
	}
	st.load()
	return st, nil
}

// readStore opens the folder to be read only; there may be none.
func readStore(dir string) (*store, error) {
	st, err := openRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &store{dir: dir}, nil
	}
	if err != nil {
		return nil, err
	}
	st.load()
	return st, nil
}

func openRoot(dir string) (*store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &store{dir: abs, root: root}, nil
}

func waitLock(ctx context.Context, path string) (*durable.Lock, error) {
	for {
		l, err := durable.NewLock(path)
		if !errors.Is(err, durable.ErrLocked) {
			return l, err
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (st *store) close() {
	if st.lock != nil {
		st.lock.Close()
	}
	if st.root != nil {
		st.root.Close()
	}
}

// load reads the state. One that is missing, damaged or of another version is
// none: then everything is asked for anew.
func (st *store) load() {
	f, err := st.root.Open(stateFile)
	if err != nil {
		return
	}
	defer f.Close()
	if data, err := io.ReadAll(io.LimitReader(f, maxState)); err == nil {
		st.state = parseState(data)
	}
}

func parseState(data []byte) workspaceState {
	var s workspaceState
	if json.Unmarshal(data, &s) != nil || s.Version != stateVersion || len(s.Resources) > 2*MaxResources {
		return workspaceState{}
	}
	for _, r := range s.Resources {
		if !validID(r.ID) {
			return workspaceState{}
		}
	}
	return s
}

// save replaces the state.
func (st *store) save(s workspaceState) error {
	s.Version = stateVersion
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := st.write(stateFile, append(data, '\n')); err != nil {
		return err
	}
	st.state = s
	return nil
}

// complete reports whether every file of the state is there.
func (st *store) complete() bool {
	for _, r := range st.state.Resources {
		if !r.Stored || !st.has(r.ID) {
			return false
		}
	}
	return true
}

// has reports whether the file is there, and as it must be.
func (st *store) has(id string) bool {
	info, err := st.root.Lstat(fileName(id))
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	if !st.strict {
		return true
	}
	_, err = st.signature(id)
	return err == nil
}

// signature verifies the file as it is in the folder: others may have written there, and
// certificates expire.
func (st *store) signature(id string) (*Signature, error) {
	file, err := st.root.Open(fileName(id))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxRDPFile+1))
	if err != nil {
		return nil, err
	}
	f, err := ParseRDP(data)
	if err != nil {
		return nil, err
	}
	return st.verify(f)
}

func (st *store) remove(id string) error {
	if err := st.root.Remove(fileName(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write replaces a file of the folder, with mode 0600.
func (st *store) write(name string, data []byte) error {
	temp := newPrefix + strings.ToLower(rand.Text())
	f, err := st.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = st.root.Rename(temp, name)
	}
	if err != nil {
		st.root.Remove(temp)
	}
	return err
}

// files are the resources whose files are there.
func (st *store) files() []File {
	var files []File
	for _, r := range st.state.Resources {
		if r.Stored && st.has(r.ID) {
			f := File{ID: r.ID, Title: r.Title, Kind: r.Kind, Path: filepath.Join(st.dir, fileName(r.ID))}
			if st.verify != nil {
				signature, err := st.signature(r.ID)
				if f.Unverified = err; err == nil {
					f.Publisher = signature.Publisher
				}
			}
			files = append(files, f)
		}
	}
	return files
}
