package carrier

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/reachback/reachback"
)

// Refuse answers a request with err's code as HTTP status and JSON. Of an error
// that is no [*reachback.Error] it tells nothing.
func Refuse(w http.ResponseWriter, err error, correlationID string) {
	e := *reachback.AsError(err)
	if e.CorrelationID == "" {
		e.CorrelationID = correlationID
	}
	body, _ := json.Marshal(&e) // three strings cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	if e.Code.Status() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", challenge(e.Code))
	}
	w.WriteHeader(e.Code.Status())
	w.Write(append(body, '\n'))
}

// challenge says whether the token was wrong, or there was none (RFC 6750, section 3).
func challenge(c reachback.Code) string {
	switch c {
	case reachback.CodeTokenMissing, reachback.CodeCertificateMissing:
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// RefuseConn answers on a hijacked connection that got no 101 yet, and closes it.
func (c *Conn) RefuseConn(err error, correlationID string) {
	e := *reachback.AsError(err)
	if e.CorrelationID == "" {
		e.CorrelationID = correlationID
	}
	body, _ := json.Marshal(&e)
	resp := http.Response{
		StatusCode: e.Code.Status(), ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Close: true,
		Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}},
		Body:   readCloser{bytes.NewReader(body)},
	}
	c.SetDeadline(time.Now().Add(HeadTimeout))
	resp.Write(c.Conn)
	c.Close()
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// ReadRefusal returns the error in the body of a refusal, or one made from the
// status where the body is not ours. It does not close the body. Its text comes
// from a peer and goes to people and logs: what is not one short line of printable
// characters is left out.
func ReadRefusal(resp *http.Response) error {
	var e reachback.Error
	err := json.NewDecoder(io.LimitReader(resp.Body, MaxRefusal)).Decode(&e)
	if err != nil || e.Code == "" {
		return &reachback.Error{Code: reachback.CodeProtocolError, Message: fmt.Sprintf("the server answered %d, and not as reachback does", resp.StatusCode)}
	}
	if !printable(e.Message) {
		e.Message = e.Code.Text()
	}
	if !printable(e.CorrelationID) {
		e.CorrelationID = ""
	}
	return &e
}

func printable(s string) bool {
	return len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Explain gives an error of dialling its code, unreachable where there is no
// better one. Refusals already have theirs, and a cancelled attempt has none.
func Explain(err error, unreachable reachback.Code) error {
	if _, ok := errors.AsType[*reachback.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeCertificateUntrusted), err)
	}
	return fmt.Errorf("%w: %w", reachback.Refuse(unreachable), err)
}
