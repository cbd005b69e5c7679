package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/reachback/reachback/examples/internal/hostside"
	"github.com/reachback/reachback/examples/internal/program"
)

// runAsService runs in the foreground, which is what systemd wants.
func runAsService(ctx context.Context, _ *program.Program, run func(context.Context) error) error {
	return run(ctx)
}

func (s *service) define(f *flag.FlagSet) {
	f.StringVar(&s.dir, "unit-dir", "/etc/systemd/system", "`folder` of systemd's units")
}

func (s *service) defineUser(f *flag.FlagSet) {
	f.StringVar(&s.user, "user", "", "`account` that the service runs as, who gets -dir and must be able to read the other files; root without privileges by default")
}

func (s *service) unit() string { return filepath.Join(s.dir, s.name+".service") }

func (c *command) installService(p *program.Program, self string, args []string) error {
	u := &unit{exec: append([]string{self}, args...), dir: c.host.Dir, user: c.service.user}
	u.privileged = c.host.Control != hostside.ControlNone
	text, err := u.text()
	if err != nil {
		return err
	}
	if err := mayReplace(c.service.unit()); err != nil {
		return err
	}
	if err := program.MakeDir(c.host.Dir); err != nil {
		return err
	}
	if err := giveTo(c.service.user, c.host.Dir); err != nil {
		return err
	}
	if err := replace(c.service.unit(), text); err != nil {
		return err
	}
	p.Event("installed", "unit", c.service.unit(), "next", "systemctl daemon-reload && systemctl enable --now "+c.service.name)
	return nil
}

func (c *command) uninstallService(p *program.Program) error {
	path := c.service.unit()
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if err := mayReplace(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	// What "systemctl enable" has made.
	if err := os.Remove(filepath.Join(c.service.dir, wantedBy+".wants", filepath.Base(path))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.Event("uninstalled", "unit", path, "next", "systemctl stop "+c.service.name+" && systemctl daemon-reload")
	return nil
}

// mayReplace returns an error for a unit that is there and not ours.
func mayReplace(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(data), unitMark) {
		return fmt.Errorf("%s is there and was not written by sessionhost install; name another with -service", path)
	}
	return nil
}

// giveTo makes the folder and the files in it the account's. Root gets them too, who
// without privileges can read no file of another's.
func giveTo(account, dir string) error {
	if account == "" {
		if os.Geteuid() != 0 {
			return nil
		}
		account = "root"
	}
	u, err := user.Lookup(account)
	if err != nil {
		return program.UsageError(fmt.Sprintf("flag -user: %v", err))
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Lchown(filepath.Join(dir, e.Name()), uid, gid); err != nil {
			return err
		}
	}
	return os.Chown(dir, uid, gid)
}

// replace writes the unit as a whole, for everybody to read: it has no secret.
func replace(path, text string) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}
