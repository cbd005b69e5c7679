-- Times are microseconds since 1970, of the database's clock; 0 is none. Users
-- are User.ID, escaped (userKey). {text}, {bytes} and {keyed} are the dialect's.

-- What is counted: the revision of the last kill, the id of the last record. A
-- row is locked until its transaction has ended, so numbers are seen in order.
CREATE TABLE counters (
  name  {text} NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('revision', 0), ('record', 0);

-- Facts of the installation: the mark of its token ids.
CREATE TABLE facts (
  name  {text} NOT NULL PRIMARY KEY,
  value {text} NOT NULL
);

-- The keys, sealed. There is one row, of id 1, or none.
CREATE TABLE keys (
  id       BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
  revision BIGINT  NOT NULL,
  sealed   {bytes} NOT NULL
);

-- Operators' part.

CREATE TABLE tenants (
  tenant    {text} NOT NULL PRIMARY KEY,
  workspace {text} NOT NULL
);

CREATE TABLE pools (
  tenant       {text}  NOT NULL,
  name         {text}  NOT NULL,
  personal     BOOLEAN NOT NULL,
  raw          BOOLEAN NOT NULL,
  approval     BOOLEAN NOT NULL,
  depth        BOOLEAN NOT NULL,
  max_sessions BIGINT  NOT NULL, -- 0: no limit
  linger       BIGINT  NOT NULL, -- microseconds
  setup        {text}  NOT NULL, -- SeedPool, JSON
  policy       {text}  NOT NULL, -- Policy, JSON
  PRIMARY KEY (tenant, name)
);

CREATE TABLE resources (
  tenant     {text} NOT NULL,
  id         {text} NOT NULL,
  pool       {text} NOT NULL,
  title      {text} NOT NULL,
  setup      {text} NOT NULL, -- SeedResource without assignments, JSON
  view       {text} NOT NULL, -- Resource as users have it, JSON
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id),
  FOREIGN KEY (tenant, pool) REFERENCES pools (tenant, name)
);
CREATE INDEX resources_by_pool ON resources (tenant, pool);

CREATE TABLE assignments (
  tenant   {text} NOT NULL,
  assignee {text} NOT NULL, -- user:SUBJECT or group:NAME
  resource {text} NOT NULL,
  place    BIGINT NOT NULL, -- in the list of the resource's assignments
  PRIMARY KEY (tenant, assignee, resource),
  FOREIGN KEY (tenant, resource) REFERENCES resources (tenant, id) ON DELETE CASCADE
) {keyed};
CREATE INDEX assignments_by_resource ON assignments (tenant, resource);

CREATE TABLE icons (
  hash {text}  NOT NULL PRIMARY KEY,
  data {bytes} NOT NULL
);

-- Enrolment.

CREATE TABLE registrations (
  id      {text}  NOT NULL PRIMARY KEY,
  hash    {bytes} NOT NULL, -- SHA-256 of the secret
  role    {text}  NOT NULL,
  tenant  {text}  NOT NULL,
  pool    {text}  NOT NULL,
  expires BIGINT  NOT NULL,
  uses    BIGINT  NOT NULL, -- left
  made    BIGINT  NOT NULL
);
CREATE INDEX registrations_by_tenant ON registrations (tenant, made);
CREATE INDEX registrations_by_expiry ON registrations (expires);

-- Rows of hosts stay when they are revoked.
CREATE TABLE hosts (
  id              {text}  NOT NULL PRIMARY KEY,
  tenant          {text}  NOT NULL,
  name            {text}  NOT NULL,
  pool            {text}  NOT NULL,
  key             {bytes} NOT NULL UNIQUE,
  assigned_to     {text}  NOT NULL, -- a user; empty: nobody
  approved        BOOLEAN NOT NULL,
  drain           BOOLEAN NOT NULL, -- the operator's
  revoked         BOOLEAN NOT NULL,
  revision        BIGINT  NOT NULL,
  enrolled_at     BIGINT  NOT NULL,
  -- Of its channel.
  up              BOOLEAN NOT NULL, -- for as long as the lease of node is in force
  node            {text}  NOT NULL,
  lapsed          BOOLEAN NOT NULL, -- down only because node's lease has ended
  epoch           BIGINT  NOT NULL,
  absent_since    BIGINT  NOT NULL,
  draining        BOOLEAN NOT NULL, -- the host's own
  replaced        {text}  NOT NULL, -- when its last channels were, JSON
  duplicate_until BIGINT  NOT NULL,
  fit             BOOLEAN NOT NULL,
  health          {text}  NOT NULL, -- Health, JSON; empty: never reported
  user_sessions   BIGINT  NOT NULL, -- the number of its rows in desktops
  -- The order in which its pool's hosts are taken: in a breadth-first pool the
  -- number of its user sessions, in a depth-first one that below zero, and in a
  -- personal one whether it is somebody's.
  rank            BIGINT  NOT NULL
);
-- Each change of a count adds to every index here. What is rarely looked for has none.
CREATE UNIQUE INDEX hosts_by_name ON hosts (tenant, name) WHERE NOT revoked;
CREATE UNIQUE INDEX hosts_by_user ON hosts (tenant, pool, assigned_to) WHERE assigned_to <> '';
CREATE INDEX hosts_by_rank ON hosts (tenant, pool, rank, name, id)
  WHERE up AND approved AND fit AND NOT drain AND NOT draining AND NOT revoked;
CREATE INDEX hosts_absent ON hosts (absent_since) WHERE NOT up AND user_sessions > 0;

CREATE TABLE gateways (
  id          {text}  NOT NULL PRIMARY KEY,
  name        {text}  NOT NULL,
  url         {text}  NOT NULL,
  key         {bytes} NOT NULL UNIQUE,
  drain       BOOLEAN NOT NULL,
  revoked     BOOLEAN NOT NULL,
  revision    BIGINT  NOT NULL,
  enrolled_at BIGINT  NOT NULL,
  up          BOOLEAN NOT NULL,
  node        {text}  NOT NULL,
  lapsed      BOOLEAN NOT NULL,
  epoch       BIGINT  NOT NULL
);
CREATE UNIQUE INDEX gateways_by_url ON gateways (url) WHERE NOT revoked;

-- Brokers. A row is renewed by its broker and deleted by another that finds its
-- lease ended.
CREATE TABLE nodes (
  id          {text} NOT NULL PRIMARY KEY,
  lease_until BIGINT NOT NULL
);

-- One of session, host and gateway is set. Those of sessions end at due.
CREATE TABLE kills (
  revision BIGINT NOT NULL PRIMARY KEY,
  session  {text} NOT NULL,
  on_host  {text} NOT NULL, -- of session
  host     {text} NOT NULL,
  gateway  {text} NOT NULL,
  code     {text} NOT NULL,
  due      BIGINT NOT NULL
);
CREATE INDEX kills_by_host ON kills (on_host) WHERE on_host <> '';
CREATE INDEX kills_by_due ON kills (due) WHERE due > 0;

-- Sessions.

CREATE TABLE spent (
  token   {text}  NOT NULL PRIMARY KEY,
  call    {text}  NOT NULL, -- the first
  raw     BOOLEAN NOT NULL,
  address {text}  NOT NULL, -- of the first call
  since   BIGINT  NOT NULL,
  due     BIGINT  NOT NULL,
  session {text}  NOT NULL, -- of a raw token: the last that began with it
  killed  BOOLEAN NOT NULL
) {keyed};
CREATE INDEX spent_by_due ON spent (due);

CREATE TABLE sessions (
  id      {text}  NOT NULL PRIMARY KEY,
  tenant  {text}  NOT NULL,
  subject {text}  NOT NULL,
  person  {text}  NOT NULL, -- the user
  pool    {text}  NOT NULL,
  host    {text}  NOT NULL,
  token   {text}  NOT NULL,
  state   BIGINT  NOT NULL, -- SessionState
  epoch   BIGINT  NOT NULL,
  host_key {bytes} NOT NULL,
  joined  BOOLEAN NOT NULL, -- since it was last pending
  calls   {text}  NOT NULL, -- those that carry bytes, a line each
  created BIGINT  NOT NULL,
  changed BIGINT  NOT NULL,
  due     BIGINT  NOT NULL, -- the end of a pending one; one that is over is forgotten then
  body    {text}  NOT NULL  -- what never changes of Session, JSON
);
CREATE INDEX sessions_pending ON sessions (due) WHERE state = 0;
CREATE INDEX sessions_over ON sessions (due) WHERE state >= 2;
CREATE INDEX sessions_by_host ON sessions (host, state);
CREATE INDEX sessions_by_user ON sessions (tenant, subject);
CREATE INDEX sessions_by_time ON sessions (tenant, created, id);

-- User sessions: a row is there exactly as long as it counts.
CREATE TABLE desktops (
  host   {text} NOT NULL,
  person {text} NOT NULL,
  tenant {text} NOT NULL,
  pool   {text} NOT NULL,
  live   BIGINT NOT NULL, -- sessions that are pending or active
  used   BIGINT NOT NULL, -- the last reservation
  last   {text} NOT NULL, -- a session that is over and by which the host may name it; or empty
  held   BOOLEAN NOT NULL, -- the host has said that it goes on, and will say when it is over
  linger BIGINT NOT NULL, -- counts until then in any case
  PRIMARY KEY (host, person)
) {keyed};
CREATE INDEX desktops_by_person ON desktops (person, tenant, pool);
CREATE INDEX desktops_lingering ON desktops (linger) WHERE live = 0 AND NOT held;

CREATE TABLE records (
  id      BIGINT NOT NULL PRIMARY KEY,
  time    BIGINT NOT NULL, -- by the broker's clock
  tenant  {text} NOT NULL,
  subject {text} NOT NULL,
  host    {text} NOT NULL,
  session {text} NOT NULL,
  correlation {text} NOT NULL,
  step    {text} NOT NULL,
  code    {text} NOT NULL,
  body    {text} NOT NULL  -- Record, JSON
);
CREATE INDEX records_by_time ON records (time);
CREATE INDEX records_by_user ON records (subject, id) WHERE subject <> '';
CREATE INDEX records_by_host ON records (host, id) WHERE host <> '';
CREATE INDEX records_by_session ON records (session) WHERE session <> '';
CREATE INDEX records_by_correlation ON records (correlation) WHERE correlation <> '';
CREATE INDEX records_by_code ON records (code, id) WHERE code <> '';
