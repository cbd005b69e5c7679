package api

// A Pool is a host pool, written as in a seed file.
type Pool struct {
	Name        string            `json:"name,omitempty" doc:"The pool's name, unique in its tenant. May be left out where the address has it." pattern:"^[a-z0-9-]{1,63}$" example:"desktops"`
	Kind        string            `json:"kind,omitempty" doc:"pooled (the default): any host for any user. personal: one host for each user, and the reverse." enum:"pooled,personal" example:"pooled"`
	Balance     string            `json:"balance,omitempty" doc:"Which of several fit hosts a user gets. breadth (the default): the one with the fewest user sessions. depth: the fullest one under the limit." enum:"breadth,depth" example:"breadth"`
	MaxSessions int               `json:"max_sessions,omitempty" doc:"Most user sessions on each host; 0: no limit, which depth does not allow." minimum:"0" example:"10"`
	Raw         bool              `json:"raw,omitempty" doc:"Admit raw calls: stock RDP clients, towards which the gateway has to be trusted." example:"false"`
	Policy      Policy            `json:"policy,omitzero" doc:"What sessions of the pool may do."`
	RDP         map[string]string `json:"rdp,omitempty" doc:"RDP properties for the pool's connection files, each as TYPE:VALUE." example:"{\"audiomode\":\"i:0\"}"`
	Approval    bool              `json:"approval,omitempty" doc:"Hold newly enrolled hosts back until they are approved." example:"false"`
	Linger      int               `json:"linger,omitempty" doc:"Seconds for which a user session counts after its last connection has ended, on hosts that cannot tell when it is over. 0: five minutes." minimum:"0" maximum:"2592000" example:"900"`
}

// A Policy is what a pool allows its sessions.
type Policy struct {
	Shortpath bool     `json:"shortpath,omitempty" doc:"Allow direct UDP paths between client and host." example:"true"`
	Networks  []string `json:"networks,omitempty" nullable:"false" doc:"The networks whose addresses may be used for such a path; none: any." example:"[\"10.0.0.0/8\"]"`
	DSCP      int      `json:"dscp,omitempty" doc:"The mark of outbound datagrams." minimum:"0" maximum:"63" example:"46"`
	MaxRate   int64    `json:"max_rate,omitempty" doc:"Most outbound bits per second of one session; 0: no limit." minimum:"0" example:"20000000"`
}

// A Resource is an entry of the workspace, written as in a seed file.
type Resource struct {
	ID         string   `json:"id,omitempty" doc:"The resource's name in addresses, unique in its tenant. May be left out where the address has it." pattern:"^[a-z0-9-]{1,63}$" example:"desktop"`
	Title      string   `json:"title,omitempty" doc:"What users see; empty: the id." maxLength:"256" example:"Desktop"`
	Kind       string   `json:"kind,omitempty" doc:"desktop (the default): a whole desktop. remoteapp: one program of it." enum:"desktop,remoteapp" example:"desktop"`
	Pool       string   `json:"pool" doc:"The host pool that serves it." example:"desktops"`
	Program    string   `json:"program,omitempty" doc:"Of a remoteapp: ||ALIAS, or a path on the host." maxLength:"512" example:"||notepad"`
	Icon       string   `json:"icon,omitempty" doc:"The hash of a picture, as the icons operation returns it." maxLength:"256" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Folder     string   `json:"folder,omitempty" doc:"Where users find it: / or /NAME." maxLength:"256" example:"/Office"`
	Extensions []string `json:"extensions,omitempty" nullable:"false" doc:"Extensions of the files that clients may open with it." maxItems:"16" example:"[\".txt\"]"`
	Assign     []string `json:"assign,omitempty" nullable:"false" doc:"Who may use it: user:SUBJECT or group:NAME." example:"[\"user:alice\",\"group:staff\"]"`
}

// An Assignment is one user or group that may use a resource.
type Assignment struct {
	To string `json:"to" doc:"user:SUBJECT or group:NAME." minLength:"6" maxLength:"300" example:"user:alice"`
}

// An Icon is a picture for resources.
type Icon struct {
	Data []byte `json:"data" doc:"The picture's bytes in base64, at most 1 MiB of them." example:"iVBORw0KGgo="`
}

// An IconHash names a picture.
type IconHash struct {
	Hash string `json:"hash" doc:"SHA-256 of the picture's bytes in hexadecimal: what a resource names its icon by." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}

// Pools is a list of host pools.
type Pools struct {
	Pools []Pool `json:"pools" nullable:"false" doc:"The pools, by name."`
}

// Resources is a list of resources.
type Resources struct {
	Resources []Resource `json:"resources" nullable:"false" doc:"The resources, by id."`
}
