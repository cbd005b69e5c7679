package feed

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/reachback/reachback"
)

// closed are the settings that every file starts from. Clients redirect drives,
// devices, printers and the clipboard unless told otherwise, so whatever a pool
// does not ask for is written down as off. An empty list of devices means none.
var closed = []Setting{
	{"redirectclipboard", 'i', "0"},
	{"redirectdrives", 'i', "0"},
	{"drivestoredirect", 's', ""},
	{"devicestoredirect", 's', ""},
	{"usbdevicestoredirect", 's', ""},
	{"camerastoredirect", 's', ""},
	{"redirectprinters", 'i', "0"},
	{"redirectcomports", 'i', "0"},
	{"redirectsmartcards", 'i', "0"},
	{"redirectposdevices", 'i', "0"},
	{"redirectdirectx", 'i', "0"},
	{"redirectlocation", 'i', "0"},
	{"redirectwebauthn", 'i', "0"},
	{"audiomode", 'i', "0"},
	{"audiocapturemode", 'i', "0"},
}

// secure are the settings by which a client guards its end, also those that are
// off by default: a signature covers what is written down, and what is not could be
// added. A host's certificate is for the host's name and never for the resource's,
// so a client that refused on failure (authentication level 1) would refuse
// always: it warns.
var secure = []Setting{
	{"authentication level", 'i', "2"},
	{"enablecredsspsupport", 'i', "1"},
	{"negotiate security layer", 'i', "1"},
	{"prompt for credentials", 'i', "0"},
	{"promptcredentialonce", 'i', "0"}, // the host never gets the gateway's credentials
	{"disableconnectionsharing", 'i', "1"},
	{"autoreconnection enabled", 'i', "1"},
	{"use redirection server name", 'i', "0"},
	{"enablerdsaadauth", 'i', "0"},
	{"rdgiskdcproxy", 'i', "0"},
	{"kdcproxyname", 's', ""},
}

// reserved are the settings that say where a file leads and who made it, hold a
// secret, or turn a client to Azure's own protocol. A pool cannot set them; nor
// any whose name starts with a word of reservedPrefixes.
var reserved = []string{
	"full address", "alternate full address", "server port", "pcb", "loadbalanceinfo", "use redirection server name",
	"alternate shell", "shell working directory", "workspace id", "signscope", "signature",
	"resourceprovider", "armpath", "geo", "activityhint", "hubdiscoverygeourl", "diagnosticserviceurl",
}

var reservedPrefixes = []string{"gateway", "remoteapplication", "password", "wvd "}

// CheckProperties refuses RDP properties of a pool, name to "type:value", that
// cannot stand in its resources' files: malformed ones, the same name in two
// spellings, another type than the setting has, and settings that are not the
// pool's to decide.
func CheckProperties(properties map[string]string) error {
	return merge(new(RDPFile).withDefaults(), properties)
}

// fileOf returns the file of a resource. It leads to the resource, by its id,
// through the gateway at the feed's own host; nothing of it is secret or
// outlives a connection.
func fileOf(base *url.URL, r *reachback.Resource) (*RDPFile, error) {
	f := &RDPFile{settings: []Setting{
		{"full address", 's', r.ID},
		// Where this one is honoured it overrides the first, so both are there.
		{"alternate full address", 's', r.ID},
		{"gatewayhostname", 's', base.Host},
		{"gatewayusagemethod", 'i', "1"},        // always
		{"gatewayprofileusagemethod", 'i', "1"}, // as this file says
		{"gatewaycredentialssource", 'i', "5"},  // a token, got when the file is opened
	}}
	f.withDefaults()
	switch r.Kind {
	case reachback.KindDesktop:
		f.settings = append(f.settings, Setting{"remoteapplicationmode", 'i', "0"}, Setting{"alternate shell", 's', ""})
	case reachback.KindRemoteApp:
		if r.Program == "" {
			return nil, errors.New("feed: the RemoteApp has no program")
		}
		f.settings = append(f.settings,
			Setting{"remoteapplicationmode", 'i', "1"},
			Setting{"remoteapplicationprogram", 's', r.Program},
			Setting{"remoteapplicationname", 's', r.Title},
			Setting{"remoteapplicationcmdline", 's', ""},
			Setting{"alternate shell", 's', r.Program},
		)
	default:
		return nil, fmt.Errorf("feed: %q is not a kind of resource", r.Kind)
	}
	f.settings = append(f.settings, Setting{"shell working directory", 's', ""}, Setting{"workspace id", 's', base.Hostname()})
	for _, s := range f.settings {
		if err := s.check(); err != nil {
			return nil, err
		}
	}
	if err := merge(f, r.RDP); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *RDPFile) withDefaults() *RDPFile {
	f.settings = append(append(f.settings, secure...), closed...)
	return f
}

// merge sets a pool's properties in f, in the order of their names.
func merge(f *RDPFile, properties map[string]string) error {
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		typ, value, ok := strings.Cut(properties[name], ":")
		if !ok || len(typ) != 1 {
			return fmt.Errorf("feed: RDP property %q: the value is not type:value", name)
		}
		key := strings.ToLower(name)
		if seen[key] {
			return fmt.Errorf("feed: RDP property %q stands twice", key)
		}
		seen[key] = true
		if slices.Contains(reserved, key) || slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			return fmt.Errorf("feed: RDP property %q is not the pool's to set", key)
		}
		// A client ignores a setting of another type than it knows, and
		// would fall back to its own, open default.
		if old, ok := f.Get(key); ok && old.Type != typ[0] {
			return fmt.Errorf("feed: RDP property %q is of type %c", key, old.Type)
		}
		if err := f.Set(key, typ[0], value); err != nil {
			return err
		}
	}
	return nil
}
