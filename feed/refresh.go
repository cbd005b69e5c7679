package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/reachback/reachback"
)

// parallel is how many files are asked for at a time.
const parallel = 4

// acceptWorkspace asks for the newest document, and takes the oldest.
const acceptWorkspace = typeWorkspace + "; " + paramVersion + "=2.0, text/xml"

// Refresh reads the workspace and stores its files, the first time as any later
// one. The files of resources that are no longer the user's are removed. It
// returns what the folder then has, also beside an error: what could not be had
// stays as it was, and a refresh that failed is never taken for an empty
// workspace.
func (c *Client) Refresh(ctx context.Context) ([]File, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	if c.Dir == "" {
		s, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		defer s.close()
		entries, _, err := s.workspace(ctx, "")
		return filesOf(entries), err
	}
	st, err := openStore(ctx, c.Dir)
	if err != nil {
		return nil, fmt.Errorf("feed: folder %s: %w", c.Dir, err)
	}
	defer st.close()
	if err := c.look(st); err != nil {
		return nil, err
	}
	s, err := c.open(ctx)
	if err != nil {
		return st.files(), err
	}
	defer s.close()
	if c.Signatures == SignaturesRequired {
		s.check = func(f *RDPFile) error { _, err := f.Verify(c.Trust); return err }
	}
	err = s.refresh(ctx, st)
	return st.files(), err
}

// Files returns what the last refresh stored, without asking the feed.
func (c *Client) Files() ([]File, error) {
	if c.Dir == "" {
		return nil, nil
	}
	st, err := readStore(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("feed: folder %s: %w", c.Dir, err)
	}
	defer st.close()
	if err := c.look(st); err != nil {
		return nil, err
	}
	return st.files(), nil
}

// look has the store look at signatures as the client is told.
func (c *Client) look(st *store) error {
	switch c.Signatures {
	case SignaturesIgnored:
		return nil
	case SignaturesChecked, SignaturesRequired:
		st.verify = func(f *RDPFile) (*Signature, error) { return f.Verify(c.Trust) }
		st.strict = c.Signatures == SignaturesRequired
		return nil
	}
	return fmt.Errorf("feed: %q is no way to take signatures", c.Signatures)
}

func filesOf(entries []entry) []File {
	var files []File
	for _, e := range entries {
		files = append(files, File{ID: e.id, Title: e.title, Kind: e.kind})
	}
	return files
}

// workspace reads the document. It returns no answer where it still has the etag.
func (s *session) workspace(ctx context.Context, etag string) ([]entry, *answer, error) {
	a, err := s.get(ctx, s.at(pathFeed), acceptWorkspace, etag, MaxDocument)
	if err != nil {
		return nil, nil, fmt.Errorf("feed: read the workspace: %w", err)
	}
	if a.unchanged {
		return nil, a, nil
	}
	entries, err := parseDocument(s.base, a.body)
	if err != nil {
		bad := &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's workspace cannot be used"}
		return nil, nil, fmt.Errorf("%w: %w", bad, err)
	}
	return entries, a, nil
}

// refresh brings the store up to date. The store knows of every file before it
// is made, so that none is forgotten in it by a refresh that was cut short.
func (s *session) refresh(ctx context.Context, st *store) error {
	feed := s.base.String()
	etag := ""
	if st.state.Feed == feed && st.complete() {
		etag = st.state.ETag
	}
	entries, a, err := s.workspace(ctx, etag)
	if err != nil || a.unchanged {
		return err
	}
	old := st.state.Resources
	if st.state.Feed != feed {
		for i := range old {
			old[i].ETag = "" // means nothing to another server
		}
	}
	next := make([]resourceState, len(entries))
	pending := slices.Clone(old)
	for i, e := range entries {
		next[i] = resourceState{ID: e.id, Title: e.title, Kind: e.kind}
		if j := slices.IndexFunc(old, func(r resourceState) bool { return r.ID == e.id }); j >= 0 {
			next[i].ETag, next[i].Stored = old[j].ETag, old[j].Stored
		} else {
			pending = append(pending, next[i])
		}
	}
	if err := st.save(workspaceState{Feed: feed, Resources: pending}); err != nil {
		return err
	}
	gone, err := s.download(ctx, st, entries, next)
	// Without its file a resource is not in the folder.
	kept := slices.DeleteFunc(slices.Clone(next), func(r resourceState) bool { return !r.Stored })
	var removal error
	for _, r := range pending {
		if slices.ContainsFunc(kept, func(k resourceState) bool { return k.ID == r.ID }) {
			continue
		}
		if rerr := st.remove(r.ID); rerr != nil {
			removal = errors.Join(removal, rerr)
			kept = append(kept, r) // to try again
		}
	}
	state := workspaceState{Feed: feed, Resources: kept}
	if err = errors.Join(err, removal); err == nil && !gone {
		state.ETag = a.etag
	}
	return errors.Join(err, st.save(state))
}

// download gets the files of all entries and notes in next what is stored. A
// file that cannot be had leaves the one before. The feed may be wrong about one
// file and right about the others, but at any other error the rest is left. It
// returns the first error, when its goroutines have, which the requests' own
// deadlines bound; gone is whether the feed said of some entry that it is not
// there any more.
func (s *session) download(ctx context.Context, st *store, entries []entry, next []resourceState) (gone bool, first error) {
	var (
		mu   sync.Mutex // guards gone, first and stop
		stop bool
		wg   sync.WaitGroup
		work = make(chan int)
	)
	one := func(i int) {
		mu.Lock()
		stopped := stop
		mu.Unlock()
		if stopped {
			return
		}
		err := s.file(ctx, st, &entries[i], &next[i])
		mu.Lock()
		defer mu.Unlock()
		switch code := reachback.CodeOf(err); code {
		case "":
			return
		case reachback.CodeResourceNotFound:
			gone, next[i].Stored = true, false
			return
		default:
			theirs := errors.Is(err, reachback.Refuse(reachback.CodeInternal)) // and not ours: a full disk
			stop = stop || !theirs && code != reachback.CodeProtocolError
		}
		if first == nil {
			first = fmt.Errorf("feed: file of %s: %w", entries[i].id, err)
		}
	}
	for range min(parallel, len(entries)) {
		wg.Go(func() { // ends when work is closed, below
			for i := range work {
				one(i)
			}
		})
	}
	for i := range entries {
		work <- i
	}
	close(work)
	wg.Wait()
	return gone, first
}

// file gets one file, unless the folder has it in its newest form.
func (s *session) file(ctx context.Context, st *store, e *entry, r *resourceState) error {
	if !r.Stored || !st.has(e.id) {
		r.ETag = ""
	}
	a, err := s.get(ctx, e.file, typeRDP, r.ETag, MaxRDPFile)
	if err != nil || a.unchanged {
		return err
	}
	f, err := ParseRDP(a.body)
	if err == nil && s.check != nil {
		err = s.check(f)
	}
	if err != nil {
		bad := &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's .rdp file cannot be used"}
		return fmt.Errorf("%w: %w", bad, err)
	}
	if err := st.write(fileName(e.id), a.body); err != nil {
		return err
	}
	r.ETag, r.Stored = a.etag, true
	return nil
}

// fileName is the name of a resource's file. Ids have no character that would
// matter, but some are names of devices on Windows.
func fileName(id string) string {
	numbered := len(id) == 4 && (strings.HasPrefix(id, "com") || strings.HasPrefix(id, "lpt")) && '0' <= id[3] && id[3] <= '9'
	if numbered || slices.Contains([]string{"con", "prn", "aux", "nul"}, id) {
		return id + "_.rdp"
	}
	return id + ".rdp"
}
