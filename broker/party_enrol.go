package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const enrolTimeout = 20 * time.Second

// EnrolOptions are what a host or gateway wants when it enrols.
type EnrolOptions struct {
	Token string // registration token. Required
	Name  string // empty: it is named by its id
	Pool  string // of a host; empty: the token's
	// Old is the identity that this one is to replace: the host keeps its id,
	// name and assignment, a gateway its id and URL, and the old key is worth
	// nothing any more. Nil: none.
	Old *Identity
}

// enrol turns a registration token into a certificate for the party's key, and
// stores it. url is that of a gateway.
func (p *party) enrol(ctx context.Context, o EnrolOptions, url string) (*Welcome, error) {
	w, err := p.askToEnrol(ctx, o, url)
	if err != nil {
		return nil, fmt.Errorf("broker: enrol at %s: %w", p.server, err)
	}
	if w.NameTaken {
		p.log.Warn("another host has the name; this one is known by its id", "code", reachback.CodeNameTaken, "asked", o.Name, "name", w.Name, "host", w.Host)
	}
	return w, nil
}

func (p *party) askToEnrol(ctx context.Context, o EnrolOptions, gateway string) (*Welcome, error) {
	u, err := url.Parse(p.server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an https URL: %w", p.server, reachback.Refuse(reachback.CodeBadRequest))
	}
	if o.Name != "" && !validName(o.Name) {
		return nil, fmt.Errorf("%q is no name, which has 1 to 63 of A-Z a-z 0-9 . _ -: %w", o.Name, reachback.Refuse(reachback.CodeBadRequest))
	}
	asked := &enrolRequest{Token: strings.TrimSpace(o.Token), Name: o.Name, Pool: o.Pool, URL: gateway}
	if p.role != RoleHost {
		asked.Role = p.role
	}
	if asked.CSR, err = p.identity.csr(); err != nil {
		return nil, err
	}
	if o.Old != nil {
		if asked.Old, err = o.Old.prove(asked.CSR); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.server, "/")+carrier.PathEnrol, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.dialer.Client(enrolTimeout).Do(req)
	if err != nil {
		return nil, carrier.Explain(err, reachback.CodeBrokerUnreachable)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, carrier.ReadRefusal(resp)
	}
	return p.takeEnrolled(resp.Body)
}

// takeEnrolled reads the broker's answer and stores the certificate in it.
func (p *party) takeEnrolled(body io.Reader) (*Welcome, error) {
	answer := &enrolAnswer{}
	if err := json.NewDecoder(io.LimitReader(body, maxEnrolBody)).Decode(answer); err != nil {
		return nil, fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeProtocolError), err)
	}
	if err := p.identity.store(answer.Certificate, p.role); err != nil {
		return nil, err
	}
	return &Welcome{
		Host: p.identity.Host(), Gateway: p.identity.Gateway(), Name: answer.Name, Pool: answer.Pool,
		NameTaken: answer.Code == reachback.CodeNameTaken,
	}, nil
}
