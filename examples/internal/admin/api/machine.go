package api

import "time"

// A User is who an issuer says he is.
type User struct {
	Issuer  string `json:"issuer,omitempty" doc:"The issuer's URL; in a request, empty means the one that the server trusts." maxLength:"1024" example:"https://idp.example"`
	Subject string `json:"subject" doc:"The issuer's name for the user: the sub of his tokens." minLength:"1" maxLength:"256" example:"alice"`
}

// A Host is an enrolled session host and what is known of it now.
type Host struct {
	ID           string    `json:"id" doc:"The host's id, which it keeps." example:"0c9a5b1de8f24f0f8a3b6a54c2d1e907"`
	Name         string    `json:"name" doc:"Its name, unique in its tenant." example:"pc-17"`
	Tenant       string    `json:"tenant,omitempty" doc:"Its tenant; left out where there is but one." example:"contoso"`
	Pool         string    `json:"pool" doc:"Its host pool." example:"desktops"`
	Up           bool      `json:"up" doc:"Whether it has a control channel now." example:"true"`
	Approved     bool      `json:"approved" doc:"Whether it may be given users." example:"true"`
	Drain        bool      `json:"drain" doc:"An operator's drain: it gets no new user until that is taken back." example:"false"`
	Draining     bool      `json:"draining" doc:"Its own drain, which lasts as long as its control channel." example:"false"`
	Duplicate    bool      `json:"duplicate" doc:"Two machines use this host's identity, so that it gets nobody." example:"false"`
	Revoked      bool      `json:"revoked" doc:"Its identity was withdrawn for good." example:"false"`
	UserSessions int       `json:"user_sessions" doc:"User sessions that count against the pool's limit." example:"3"`
	AssignedTo   *User     `json:"assigned_to,omitempty" doc:"Of a personal pool: whose host it is."`
	Health       *Health   `json:"health,omitempty" doc:"How it said it is; left out until it has."`
	Key          string    `json:"key" doc:"SHA-256 of its public key, base64url." example:"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	EnrolledAt   time.Time `json:"enrolled_at" doc:"When it enrolled." example:"2026-03-01T09:00:00Z"`
}

// Health is how a host says it is.
type Health struct {
	Fit      bool    `json:"fit" doc:"Whether it can take new users." example:"true"`
	Problem  string  `json:"problem,omitempty" doc:"Why it cannot." example:"the RDP server does not answer"`
	Target   bool    `json:"target" doc:"Whether its RDP server answers." example:"true"`
	Load     float64 `json:"load" doc:"Load of its processors; 1 is all of them busy." example:"0.4"`
	DiskFree int64   `json:"disk_free" doc:"Free bytes on its disk; 0: it did not say." example:"53687091200"`
}

// A Name is a new name.
type Name struct {
	Name string `json:"name" doc:"The new name, unique in the tenant." minLength:"1" maxLength:"63" example:"pc-18"`
}

// A Gateway is an enrolled gateway and what is known of it now.
type Gateway struct {
	ID         string    `json:"id" doc:"The gateway's id, which it keeps." example:"7d1f0a6b3c8e4f52b9a0c4d6e8f13579"`
	Name       string    `json:"name" doc:"Its name." example:"gw-east"`
	URL        string    `json:"url" doc:"The base URL under which hosts reach it." example:"https://gw-east.example"`
	Up         bool      `json:"up" doc:"Whether it has a control channel now." example:"true"`
	Drain      bool      `json:"drain" doc:"An operator's drain: it is named to no client." example:"false"`
	Revoked    bool      `json:"revoked" doc:"Its identity was withdrawn for good." example:"false"`
	Key        string    `json:"key" doc:"SHA-256 of its public key, base64url." example:"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	EnrolledAt time.Time `json:"enrolled_at" doc:"When it enrolled." example:"2026-03-01T09:00:00Z"`
}

// A TokenRequest asks for a registration token.
type TokenRequest struct {
	Role string `json:"role,omitempty" doc:"What may enrol with it: host (the default) or gateway." enum:"host,gateway" example:"host"`
	Pool string `json:"pool,omitempty" doc:"Of hosts: the pool that they get into; empty: the one that they ask for." pattern:"^[a-z0-9-]{0,63}$" example:"desktops"`
	Life string `json:"life,omitempty" doc:"How long it is good, as 90m or 24h: an hour to 27 days. A day by default." maxLength:"32" example:"24h"`
	Uses int    `json:"uses,omitempty" doc:"How many machines may enrol with it; 1 by default." minimum:"0" maximum:"1000000" example:"5"`
}

// A Token is a registration token as it is kept: without its secret.
type Token struct {
	ID      string    `json:"id" doc:"What it is named by; no secret." example:"a1b2c3d4e5f60718"`
	Role    string    `json:"role" doc:"What may enrol with it." example:"host"`
	Tenant  string    `json:"tenant,omitempty" doc:"The tenant of what enrols." example:"contoso"`
	Pool    string    `json:"pool,omitempty" doc:"The pool of hosts; left out: the one that they ask for." example:"desktops"`
	Expires time.Time `json:"expires" doc:"Until when it is good." example:"2026-03-02T09:00:00Z"`
	Uses    int       `json:"uses" doc:"How often it may still be used." example:"5"`
}

// A NewToken is a registration token that was just made.
type NewToken struct {
	Token
	Secret string `json:"token" doc:"The whole token, for -enrol. It is shown this once." example:"rbr_a1b2c3d4e5f60718_MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"`
}

// Hosts is one page of hosts.
type Hosts struct {
	Hosts []Host `json:"hosts" nullable:"false" doc:"The hosts, by name, those revoked too."`
	Next  string `json:"next,omitempty" doc:"There may be more: ask again with this as after." example:"3f0c9a7be2d14f5580a6c1e9d2b74f03"`
}

// Gateways is a list of gateways.
type Gateways struct {
	Gateways []Gateway `json:"gateways" nullable:"false" doc:"The gateways, by URL, those revoked too."`
}

// Tokens is a list of registration tokens.
type Tokens struct {
	Tokens []Token `json:"registration_tokens" nullable:"false" doc:"Those that have not been expired for long, the newest first."`
}
