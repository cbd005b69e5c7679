package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/devidp"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// firstTry is what a server without a seed file offers.
const firstTry = `{
 "users": [{"name": "alice"}],
 "pools": [{"name": "desktops", "kind": "pooled", "balance": "breadth", "max_sessions": 10}],
 "resources": [{"id": "desktop", "title": "Desktop", "kind": "desktop", "pool": "desktops", "assign": ["user:alice"]}]
}`

const (
	tokenFile = "registration.token"
	tokenLife = 27 * 24 * time.Hour
	tokenUses = 10_000
)

func (s *Server) seed(path string) (*broker.Seed, error) {
	data, name := []byte(firstTry), "built-in seed"
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, err
		}
		name = path
	}
	seed, err := broker.ParseSeed(data)
	if err == nil {
		err = checkProperties(seed)
	}
	if err == nil {
		err = checkUsers(seed)
	}
	if err == nil {
		err = s.state.Directory().Apply(context.Background(), seed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return seed, nil
}

// checkProperties refuses RDP properties that no .rdp file could hold.
func checkProperties(seed *broker.Seed) error {
	for _, p := range seed.Pools {
		if err := feed.CheckProperties(p.RDP); err != nil {
			return fmt.Errorf("pool %s: %w", p.Name, err)
		}
	}
	return nil
}

// checkUsers refuses users whose tokens would be in one file, or in that of the
// hosts' token. There are file systems that take no notice of case.
func checkUsers(seed *broker.Seed) error {
	taken := map[string]bool{tokenFile: true}
	for _, u := range seed.Users {
		file := strings.ToLower(devidp.TokenFile(u.Name))
		if taken[file] {
			return fmt.Errorf("user %q: another token is kept in %s", u.Name, file)
		}
		taken[file] = true
	}
	return nil
}

// issueTokens makes the demonstration issuer and a token file for each user of
// the seed.
func (s *Server) issueTokens(dir string, seed *broker.Seed) (*devidp.Issuer, error) {
	issuer, err := devidp.Open(dir, s.URL+"/dev-idp")
	if err != nil {
		return nil, err
	}
	issuer.SetUsers(seed.Users)
	s.Tokens = make(map[string]string)
	for _, u := range seed.Users {
		if s.Tokens[u.Name], err = issuer.WriteToken(dir, u.Name, u.Groups); err != nil {
			return nil, err
		}
	}
	return issuer, nil
}

// registrationToken keeps a usable registration token for hosts of any pool in
// dir. The state has only its hash, so the file is the only copy.
func (s *Server) registrationToken(dir string) error {
	old, err := os.ReadFile(filepath.Join(dir, tokenFile))
	ctx := context.Background()
	if err == nil && s.Broker.CheckRegistrationToken(ctx, strings.TrimSpace(string(old))) == nil {
		return nil
	}
	token, _, err := s.Broker.NewRegistrationToken(ctx, broker.TokenOptions{Life: tokenLife, Uses: tokenUses})
	if err != nil {
		return err
	}
	_, err = program.WriteFile(dir, tokenFile, []byte(token+"\n"))
	return err
}
