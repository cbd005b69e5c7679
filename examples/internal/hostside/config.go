package hostside

import (
	"fmt"
	"net"

	"github.com/reachback/reachback/examples/internal/program"
)

// A Config is what the flags of a session host say.
type Config struct {
	Server  string // base URL of the broker
	Dir     string // the host's key and certificate
	Target  string // address of the RDP server
	CA      string // path of the CA file; empty: the system's
	Enrol   string // path of a registration token, while there is no valid certificate
	Name    string // wanted name; empty: the machine's
	Pool    string // wanted pool; empty: the token's, or the only one
	Control string // ControlNone, also if empty, ControlWTS or the path of a program
	Health  Health
}

// Health says how the host finds out how it is.
type Health struct {
	Probe   string // one of the constants below; empty: ProbeRDP
	MinDisk int64  // least free space of the volume of Dir, in bytes; zero: any
}

// How the RDP server is asked whether it is there.
const (
	// ProbeRDP says what a client says first. A server that hangs takes
	// connections as well as ever, but does not answer any more. Who has never
	// answered as an RDP server does need not do so: then a connection is enough.
	ProbeRDP = "rdp"
	ProbeTCP = "tcp" // a connection is enough
	ProbeOff = "off" // it is not asked
)

// check returns the broker's base URL, and an error for what a flag cannot mean.
func (c *Config) check() (origin string, err error) {
	u, err := program.Origin("-server", c.Server)
	if err != nil {
		return "", err
	}
	if _, _, err := net.SplitHostPort(c.Target); err != nil {
		return "", program.UsageError(fmt.Sprintf("flag -target: %v", err))
	}
	switch c.Health.Probe {
	case "", ProbeRDP, ProbeTCP, ProbeOff:
	default:
		return "", program.UsageError(fmt.Sprintf("flag -probe: %q is none of rdp, tcp and off", c.Health.Probe))
	}
	if c.Health.MinDisk < 0 {
		return "", program.UsageError("flag -min-disk: there cannot be less than no space")
	}
	return u.String(), nil
}

// Check finds the mistakes in what the flags say without doing anything.
func (c *Config) Check() error {
	_, err := c.check()
	if err == nil {
		_, err = newControl(c.Control)
	}
	return err
}
