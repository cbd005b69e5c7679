package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/reachback/reachback/internal/durable"
)

const (
	fileVersion = 1
	maxFile     = 256 << 20
)

// A File keeps what a single broker must not forget: keys, authorities, enrolled
// hosts with personal assignments, registration tokens and revocations. It is
// replaced whole, and on the disk, before a change is acknowledged; where that
// fails the change is refused and the old state stays in force.
type File struct {
	path string
	lock *durable.Lock
	keys *Keys
	dir  *MemoryDirectory

	mu     sync.Mutex
	tokens []tokenKey // as saved
	state  *durableState
}

type fileJSON struct {
	Version int           `json:"version"`
	Keys    *Keys         `json:"keys"`
	State   *durableState `json:"state"`
}

// OpenFile opens the state file at path, and makes one with new keys if there is
// none. It is held, by a lock in a file beside it, until Close. A file that
// cannot be read is never replaced.
func OpenFile(path string) (*File, error) {
	lock, err := durable.NewLock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("broker: state file: %w", err)
	}
	f, err := openLocked(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("broker: state file %s: %w", path, err)
	}
	f.lock = lock
	return f, nil
}

func openLocked(path string) (*File, error) {
	var keys *Keys
	var state *durableState
	data, err := readBounded(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if keys, err = NewKeys(); err != nil {
			return nil, err
		}
		state = &durableState{Hosts: map[string]*Host{}, Registrations: map[string]Registration{}}
	case err != nil:
		return nil, err
	default:
		if keys, state, err = parseFile(data); err != nil {
			return nil, fmt.Errorf("it is damaged, or not a state file; put a copy in its place: %w", err)
		}
	}
	state.Boot++ // epochs of this start are over those of all before
	f := &File{path: path, keys: keys, dir: &MemoryDirectory{saved: *state}, tokens: keys.tokens, state: state}
	if err := f.write(f.tokens, f.state); err != nil {
		return nil, err
	}
	f.dir.save = func(next *durableState) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.write(f.tokens, next); err != nil {
			return err
		}
		f.state = next
		return nil
	}
	keys.save = func(next []tokenKey) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.write(next, f.state); err != nil {
			return err
		}
		f.tokens = next
		return nil
	}
	return f, nil
}

func parseFile(data []byte) (*Keys, *durableState, error) {
	var j fileJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, nil, err
	}
	switch {
	case j.Version != fileVersion:
		return nil, nil, fmt.Errorf("version %d, and this program knows %d", j.Version, fileVersion)
	case j.Keys == nil || j.State == nil:
		return nil, nil, errors.New("a part is missing")
	}
	s := j.State
	if s.Hosts == nil {
		s.Hosts = map[string]*Host{}
	}
	if s.Registrations == nil {
		s.Registrations = map[string]Registration{}
	}
	for id, h := range s.Hosts {
		if h == nil || id == "" || h.ID != id || h.Key == (Thumbprint{}) || h.Revision > s.Revision {
			return nil, nil, fmt.Errorf("host %q is malformed", id)
		}
	}
	for id, r := range s.Registrations {
		if r.ID != id || len(r.Hash) != 32 {
			return nil, nil, fmt.Errorf("registration %q is malformed", id)
		}
	}
	if s.Boot >= 1<<21 { // epochs stay exact in JSON numbers
		return nil, nil, errors.New("the count of starts is over its limit")
	}
	return j.Keys, j.State, nil
}

func (f *File) write(tokens []tokenKey, state *durableState) error {
	keys := &Keys{tokens: tokens, hosts: f.keys.hosts, server: f.keys.server}
	data, err := json.Marshal(&fileJSON{fileVersion, keys, state})
	if err != nil {
		return err
	}
	return durable.WriteFile(f.path, append(data, '\n'))
}

// Keys returns the keys that the file keeps.
func (f *File) Keys() *Keys { return f.keys }

// Directory returns the directory that the file keeps.
func (f *File) Directory() *MemoryDirectory { return f.dir }

// Close lets another process have the file. Nothing can be changed after it.
func (f *File) Close() error {
	closed := func() error { return fmt.Errorf("broker: state file: %w", fs.ErrClosed) }
	f.keys.mu.Lock()
	f.keys.save = func([]tokenKey) error { return closed() }
	f.keys.mu.Unlock()
	f.dir.mu.Lock()
	f.dir.save = func(*durableState) error { return closed() }
	f.dir.mu.Unlock()
	return f.lock.Close()
}
