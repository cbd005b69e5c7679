package clientside

import (
	"context"
	"path/filepath"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	stockFileLife  = 4 * time.Minute  // well within the ten minutes in which its token can begin
	stockFileRetry = 10 * time.Second // after a failure
	stockFilePause = time.Second      // between two files: a client may call several times in a row
)

// A StockFile is an .rdp file with which a stock client opens a resource, at any time and
// as often as one likes. The token in such a file begins one session, within ten minutes;
// so there is a new file before that is over, and after each call of such a client.
type StockFile struct {
	client   *Client
	resource string
	dir      string
	name     string
}

// StockFile writes the file for the first time. Whoever reads it is the user, so it is its
// owner's alone; it is replaced as a whole.
func (c *Client) StockFile(ctx context.Context, resource, path string) (*StockFile, error) {
	f := &StockFile{client: c, resource: resource, dir: filepath.Dir(path), name: filepath.Base(path)}
	return f, f.write(ctx)
}

// Keep keeps the file good until ctx ends. It hears from called that a stock client has
// called.
func (f *StockFile) Keep(ctx context.Context, called <-chan struct{}) {
	log := f.client.program.Logger.With("part", "client", "file", filepath.Join(f.dir, f.name))
	for wait := stockFileLife; ; {
		select {
		case <-called:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = stockFileLife
		if err := f.write(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the file for stock clients is not renewed", "code", reachback.CodeOf(err), "err", program.OneLine(err.Error()))
			wait = stockFileRetry
		}
		select {
		case <-time.After(stockFilePause):
		case <-ctx.Done():
			return
		}
	}
}

func (f *StockFile) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	file, err := f.client.feed.ConnectFile(ctx, f.resource)
	if err != nil {
		return err
	}
	_, err = program.WriteFile(f.dir, f.name, file.Encode())
	return err
}
