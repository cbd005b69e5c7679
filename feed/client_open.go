package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

// ConnectFile asks for a file with which a stock RDP client opens a resource, where the
// pool admits its calls; else it is refused with raw_not_allowed. The file opens the
// resource once, within ten minutes, whoever has it: it is a secret, and the client does
// not store it. With SignaturesRequired one that does not verify is refused.
func (c *Client) ConnectFile(ctx context.Context, resource string) (*RDPFile, error) {
	f, err := c.connectFile(ctx, resource)
	if err != nil {
		return nil, fmt.Errorf("feed: connect %s: %w", printable.Clip(resource), err)
	}
	return f, nil
}

func (c *Client) connectFile(ctx context.Context, resource string) (*RDPFile, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	body, err := json.Marshal(connectRequest{Resource: resource})
	if err != nil {
		return nil, err
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {typeRDP}}
	a, err := s.do(ctx, http.MethodPost, s.at(carrier.PathConnect), h, body, MaxRDPFile)
	if err != nil {
		return nil, err
	}
	f, err := ParseRDP(a.body)
	if err == nil {
		err = c.checkConnectionFile(f, resource)
	}
	if err != nil {
		bad := &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's .rdp file cannot be used"}
		return nil, fmt.Errorf("%w: %w", bad, err)
	}
	return f, nil
}

// checkConnectionFile refuses a file that is not what was asked for.
func (c *Client) checkConnectionFile(f *RDPFile, resource string) error {
	for _, name := range []string{nameAddress, nameAlternate} {
		if s, _ := f.Get(name); s != (Setting{s.Name, 's', resource}) {
			return errors.New("feed: the .rdp file is another resource's")
		}
	}
	if s, _ := f.Get(nameToken); s.Type != 's' || s.Value == "" {
		return errors.New("feed: the .rdp file has no token")
	}
	if c.Signatures != SignaturesRequired {
		return nil
	}
	_, err := f.Verify(c.Trust)
	return err
}
