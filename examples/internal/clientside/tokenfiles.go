package clientside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/oauth2"

	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/durable"
)

const maxTokenFile = 64 << 10

// tokenFiles are the file of the access token, at that path, and beside it that of
// the refresh token. Only their owner can read them, and each is replaced whole.
type tokenFiles string

// A stored refresh token names the issuer and the client that it was given to. It
// goes nowhere else, whatever issuer the feed names later.
type stored struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	RefreshToken string `json:"refresh_token"`
}

func (f tokenFiles) refreshPath() string { return string(f) + ".refresh" }

// lock keeps the files from a second process: it would spend the refresh token of
// this one, which an issuer takes for a theft.
func (f tokenFiles) lock() (unlock func(), err error) {
	l, err := durable.NewLock(string(f) + ".lock")
	if err != nil {
		return nil, fmt.Errorf("file of -token: %w", err)
	}
	return func() { l.Close() }, nil
}

// refreshToken returns the one for that client, or "". A file that cannot be read
// as one is no more use, and will be replaced.
func (f tokenFiles) refreshToken(doc *feed.SignIn) (string, error) {
	data, err := readFile(f.refreshPath())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var s stored
	if json.Unmarshal(data, &s) != nil || s.Issuer != doc.Issuer || s.ClientID != doc.ClientID {
		return "", nil
	}
	return s.RefreshToken, nil
}

// store writes the refresh token first: the one before it is spent.
func (f tokenFiles) store(doc *feed.SignIn, t *oauth2.Token) error {
	if t.RefreshToken == "" {
		if err := os.Remove(f.refreshPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else {
		data, err := json.Marshal(stored{doc.Issuer, doc.ClientID, t.RefreshToken})
		if err != nil {
			return err
		}
		if err := durable.WriteFile(f.refreshPath(), append(data, '\n')); err != nil {
			return err
		}
	}
	return durable.WriteFile(string(f), []byte(t.AccessToken+"\n"))
}

// accessToken returns what the file holds now.
func (f tokenFiles) accessToken() (string, error) {
	b, err := readFile(string(f))
	return strings.TrimSpace(string(b)), err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err == nil && len(b) > maxTokenFile {
		err = fmt.Errorf("%s is too long for a token", path)
	}
	return b, err
}
