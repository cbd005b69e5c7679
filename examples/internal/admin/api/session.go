package api

import "time"

// A Session is one connection of a user with a host, with all its resumes.
type Session struct {
	ID            string    `json:"id" doc:"The session's id." example:"3b1c5d7e9f20416283a4b5c6d7e8f901"`
	State         string    `json:"state" doc:"How far it is: pending, active, lost, ended or killed." example:"active"`
	User          User      `json:"user" doc:"Whose it is."`
	Tenant        string    `json:"tenant,omitempty" doc:"His tenant; left out where there is but one." example:"contoso"`
	Resource      string    `json:"resource" doc:"The id of the resource that he opened." example:"desktop"`
	Pool          string    `json:"pool" doc:"The host pool." example:"desktops"`
	Host          string    `json:"host" doc:"The id of the host." example:"0c9a5b1de8f24f0f8a3b6a54c2d1e907"`
	Raw           bool      `json:"raw" doc:"Whether it is a raw call's." example:"false"`
	CorrelationID string    `json:"correlation_id" doc:"Finds its records." example:"5e8f1c0a9d3b47f2a6c1d4e7b8f90213"`
	Created       time.Time `json:"created" doc:"When its slot was taken." example:"2026-03-01T09:00:00Z"`
	Changed       time.Time `json:"changed" doc:"When its state last changed." example:"2026-03-01T09:00:02Z"`
}

// A Message is a text for a user's screen.
type Message struct {
	Title string `json:"title,omitempty" doc:"The message's title." maxLength:"256" example:"Maintenance"`
	Text  string `json:"text" doc:"The message." minLength:"1" maxLength:"4096" example:"This desktop restarts at 18:00. Please save your work."`
}

// Sessions is a list of sessions.
type Sessions struct {
	Sessions []Session `json:"sessions" nullable:"false" doc:"The sessions, the newest first."`
}

// A Record is one step of what happened.
type Record struct {
	ID            uint64    `json:"id" doc:"Rises with each record." example:"4711"`
	Time          time.Time `json:"time" doc:"When the broker wrote it down." example:"2026-03-01T09:00:01.25Z"`
	Step          string    `json:"step" doc:"What it is about: feed, connect, call, start, orchestrate, summon, answer, joined, path, end; and enrol, channel, admin." example:"orchestrate"`
	Party         string    `json:"party" doc:"Who saw it: client, gateway, broker or host." example:"broker"`
	Code          string    `json:"code,omitempty" doc:"Why it failed or ended; left out: it succeeded." example:"no_host"`
	Message       string    `json:"message,omitempty" doc:"What the code means." example:"no session host of the pool is ready"`
	CorrelationID string    `json:"correlation_id,omitempty" doc:"The same in all records of one connection." example:"5e8f1c0a9d3b47f2a6c1d4e7b8f90213"`
	DurationMS    float64   `json:"duration_ms,omitempty" doc:"How long the step took, in milliseconds." example:"12.5"`
	Tenant        string    `json:"tenant,omitempty" doc:"The user's tenant." example:"contoso"`
	User          string    `json:"user,omitempty" doc:"The user's subject." example:"alice"`
	Resource      string    `json:"resource,omitempty" doc:"The id of the resource." example:"desktop"`
	Session       string    `json:"session,omitempty" doc:"The id of the session." example:"3b1c5d7e9f20416283a4b5c6d7e8f901"`
	Call          string    `json:"call,omitempty" doc:"The id of the call." example:"9d8c7b6a5f4e4d3c2b1a09f8e7d6c5b4"`
	Host          string    `json:"host,omitempty" doc:"The id of the host." example:"0c9a5b1de8f24f0f8a3b6a54c2d1e907"`
	Gateway       string    `json:"gateway,omitempty" doc:"The gateway." example:"https://gw-east.example"`
	Remote        string    `json:"remote,omitempty" doc:"The address of the peer." example:"192.0.2.1:50000"`
	Detail        string    `json:"detail,omitempty" doc:"More, for people." example:"pool desktops: 0 hosts up"`
}

// Records is one page of records.
type Records struct {
	Records []Record `json:"records" nullable:"false" doc:"The records, the newest first."`
	Next    uint64   `json:"next,omitempty" doc:"There may be more: ask again with this as before." example:"4700"`
}
