package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/devidp"
	"github.com/reachback/reachback/feed"
)

// firstTry is what a server with the demonstration issuer and without a seed file
// offers.
const firstTry = `{
 "users": [{"name": "alice"}],
 "pools": [{"name": "desktops", "kind": "pooled", "balance": "breadth", "max_sessions": 10}],
 "resources": [{"id": "desktop", "title": "Desktop", "kind": "desktop", "pool": "desktops", "assign": ["user:alice"]}]
}`

// applySeed puts the seed in force. A seed file is the whole setup: what was set up
// by other means since it was last read is replaced. The built-in seed is for a
// setup that is empty, and gives way to one that is not.
func (s *Server) applySeed(ctx context.Context) error {
	seed, err := s.readSeed()
	if err != nil || seed == nil {
		return err
	}
	if err := s.applySetup(ctx, seed); err != nil {
		return fmt.Errorf("%s: %w", s.seedName(), err)
	}
	if s.issuer != nil {
		return s.issueTokens(seed.Users)
	}
	return nil
}

func (s *Server) applySetup(ctx context.Context, seed *broker.Seed) error {
	if s.plan.Seed == "" {
		old, err := s.store.dir.Setup(ctx, seed.Tenant)
		if err != nil || len(old.Pools) > 0 || len(old.Resources) > 0 {
			return err
		}
	}
	if err := s.keepIcons(ctx, seed); err != nil {
		return err
	}
	return s.store.dir.Apply(ctx, seed)
}

func (s *Server) seedName() string {
	if s.plan.Seed == "" {
		return "built-in seed"
	}
	return s.plan.Seed
}

// readSeed returns the seed, nil where there is none, and refuses what only a
// server can know to be wrong with it.
func (s *Server) readSeed() (*broker.Seed, error) {
	data := []byte(firstTry)
	if s.plan.Seed != "" {
		var err error
		if data, err = readBounded(s.plan.Seed, broker.MaxSeed); err != nil {
			return nil, err
		}
	} else if !s.plan.SignIn.DevIdP {
		return nil, nil
	}
	seed, err := broker.ParseSeed(data)
	if err == nil && s.plan.Seed == "" {
		seed.Pools[0].Raw = s.plan.SeedRaw
	}
	if err == nil {
		err = checkProperties(seed)
	}
	if err == nil {
		err = checkUsers(seed, s.plan.SignIn.DevIdP)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.seedName(), err)
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

// checkUsers refuses users that another issuer has, and those whose tokens would
// be in one file, or in one of the registration tokens. There are file systems
// that take no notice of case.
func checkUsers(seed *broker.Seed, devIdP bool) error {
	if len(seed.Users) > 0 && !devIdP {
		return errors.New("users are made by -dev-idp only; other issuers have their own")
	}
	taken := map[string]bool{hostTokenFile: true, gatewayTokenFile: true}
	for _, u := range seed.Users {
		file := strings.ToLower(devidp.TokenFile(u.Name))
		if taken[file] {
			return fmt.Errorf("user %q: another token is kept in %s", u.Name, file)
		}
		taken[file] = true
	}
	return nil
}

// keepIcons puts the pictures that the seed names into the directory, and their
// hashes into the seed. They are files below the folder of the seed.
func (s *Server) keepIcons(ctx context.Context, seed *broker.Seed) error {
	for i := range seed.Resources {
		r := &seed.Resources[i]
		if r.Icon == "" {
			continue
		}
		picture, err := readIcon(filepath.Dir(s.plan.Seed), r.Icon)
		if err == nil {
			err = feed.CheckIcon(picture)
		}
		if err == nil {
			r.Icon, err = s.store.dir.PutIcon(ctx, picture)
		}
		if err != nil {
			return fmt.Errorf("resource %s: icon: %w", r.ID, err)
		}
	}
	return nil
}

func readIcon(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir) // so that no name leads out of it
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, broker.MaxIcon)
}

func readBounded(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, most)
}

func readAll(r io.Reader, name string, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return data, err
}
